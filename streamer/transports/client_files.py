"""The JavaScript client, served on the WebSocket's own port so that a page has no other place to take it from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final, NamedTuple

NAMES: Final = ("streamer.js", "streamer.d.ts")


class ClientFile(NamedTuple):
    """One file as it goes out."""

    text: str
    etag: str
    """Strong, of the text alone: the same in every process of the same version."""


NONE: Final[Mapping[str, ClientFile]] = MappingProxyType({})


def load() -> Mapping[str, ClientFile]:
    """The files of the package, by the path that they are served at."""
    # Not of "streamer.client": that would import the Python client.
    folder = files("streamer") / "client" / "js"
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in NAMES}
    return {
        f"/{name}": ClientFile(text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')
        for name, text in texts.items()
    }


def unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether the browser has it already (RFC 9110, section 13.1.2: the comparison is weak)."""
    if if_none_match is None:
        return False
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in known or "*" in known
