"""The optional plugins of this project, and the extras of `streamer-router` that install them, for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streamer.contracts.components import Kind

_EXTRAS: Final[Mapping[tuple[Kind, str], str]] = {
    (Kind.STORE, "dynamodb"): "aws",
    (Kind.CONNECTIONS, "apigateway"): "aws",
    (Kind.EXPORT, "sam"): "aws",
    (Kind.EMULATOR, "aws"): "aws",
}


def how_to_install(kind: Kind, name: str) -> str:
    """How to install the component; empty when no plugin of this project has it."""
    extra = _EXTRAS.get((kind, name))
    if extra is None:
        return ""
    return f'it is a part of the plugin streamer-{extra}: pip install "streamer-router[{extra}]"'
