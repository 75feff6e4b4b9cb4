"""The JavaScript client, served on the WebSocket's own port so that a page has no other place to take it from."""

from __future__ import annotations

import hashlib
import pkgutil
from collections.abc import Mapping
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
    found = {name: pkgutil.get_data("streamer", f"client/js/{name}") or b"" for name in NAMES}
    return {
        f"/{name}": ClientFile(text.decode(), f'"{hashlib.sha256(text).hexdigest()[:32]}"')
        for name, text in found.items()
    }


def unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether the browser has it already (RFC 9110, section 13.1.2: the comparison is weak)."""
    if if_none_match is None:
        return False
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in known or "*" in known
