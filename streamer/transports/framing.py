"""Frames of RFC 6455: headers of what the server sends, and messages put together from what clients send."""

from __future__ import annotations

from typing import Final, NamedTuple

from streamer.transports.close_codes import BINARY, INVALID_TEXT, PROTOCOL_ERROR, TOO_LARGE

_SHORT: Final = 126
_MEDIUM: Final = 0x10000


def _header(size: int) -> bytes:
    if size < _SHORT:
        return bytes((0x81, size))
    if size < _MEDIUM:
        return b"\x81\x7e" + size.to_bytes(2)
    return b"\x81\x7f" + size.to_bytes(8)


_PREPARED: Final = [_header(size) for size in range(1024)]


def text_header(size: int) -> bytes:
    """The header of a whole text message of that many bytes (section 5.2): never masked, never fragmented."""
    return _PREPARED[size] if size < len(_PREPARED) else _header(size)


class Violation(NamedTuple):
    """Why a connection must be closed."""

    code: int
    reason: str


NOT_UTF8: Final = Violation(INVALID_TEXT, "text that is not UTF-8")
NO_BINARY: Final = Violation(BINARY, "binary messages are not accepted")
_INTERRUPTED: Final = Violation(PROTOCOL_ERROR, "a new message inside a fragmented one")
_CONTINUES_NOTHING: Final = Violation(PROTOCOL_ERROR, "a continuation of nothing")


class Assembly:
    """A message that comes in fragments (section 5.4), held as the bytes that have come and nothing more."""

    __slots__ = ("_limit", "_received")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._received = bytearray()

    def add(self, payload: bytes, *, final: bool) -> bytes | Violation | None:
        """Takes the next fragment. Returns the message when it is whole, None while it is not."""
        if len(self._received) + len(payload) > self._limit:
            return Violation(TOO_LARGE, f"a message may have {self._limit} bytes")
        self._received += payload
        if not final:
            return None
        message = bytes(self._received)
        return message if is_utf8(message) else NOT_UTF8


def out_of_place(*, under_way: bool, starts: bool, text: bool) -> Violation | None:
    """What is wrong about a data frame where it stands, if anything.

    Args:
        under_way: a message has begun in fragments and is not whole.
        starts: the frame begins a message, rather than going on with one.
        text: the message that it begins is text.
    """
    if under_way:
        return _INTERRUPTED if starts else None
    if not starts:
        return _CONTINUES_NOTHING
    return None if text else NO_BINARY


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are UTF-8. Most text is ASCII, which is found out at a fraction of a decode's cost."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
