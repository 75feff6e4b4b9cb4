"""Frames of RFC 6455, from server to client: never masked, never fragmented."""

from __future__ import annotations

from typing import Final

_SHORT: Final = [bytes((0x81, size)) for size in range(126)]
_MEDIUM: Final = 0x10000


def text_header(size: int) -> bytes:
    """The header of a whole text message of that many bytes (section 5.2)."""
    if size < len(_SHORT):
        return _SHORT[size]
    if size < _MEDIUM:
        return b"\x81\x7e" + size.to_bytes(2)
    return b"\x81\x7f" + size.to_bytes(8)
