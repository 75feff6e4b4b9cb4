"""The JavaScript client, served on the same port as the WebSocket, so that a page can load it from there."""

from __future__ import annotations

import hashlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

NAMES: Final = ("streamer.js", "streamer.d.ts")


class ClientFile(NamedTuple):
    """One file as it is served."""

    text: str
    etag: str
    """A strong validator, of the content only: the same in every process of the same version."""


NONE: Final[Mapping[str, ClientFile]] = MappingProxyType({})


def load() -> Mapping[str, ClientFile]:
    """The files of the package, by the path at which they are served."""
    # Not from "streamer.client", which would import the Python client.
    found = {name: pkgutil.get_data("streamer", f"client/js/{name}") or b"" for name in NAMES}
    return {
        f"/{name}": ClientFile(text.decode(), f'"{hashlib.sha256(text).hexdigest()[:32]}"')
        for name, text in found.items()
    }


def unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether the browser has it already (RFC 9110, section 13.1.2: a weak comparison)."""
    if if_none_match is None:
        return False
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in known or "*" in known
