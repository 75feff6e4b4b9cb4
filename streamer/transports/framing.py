"""Frames of RFC 6455: headers of sent frames, and messages assembled from received ones."""

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
_CONTINUES_NOTHING: Final = Violation(PROTOCOL_ERROR, "a continuation frame without a message")


class Assembly:
    """A message that arrives in fragments (section 5.4), stored as the received bytes only."""

    __slots__ = ("_limit", "_received")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._received = bytearray()

    def add(self, payload: bytes, *, final: bool) -> bytes | Violation | None:
        """Adds the next fragment. Returns the message when it is complete, otherwise None."""
        if len(self._received) + len(payload) > self._limit:
            return Violation(TOO_LARGE, f"a message may have at most {self._limit} bytes")
        self._received += payload
        if not final:
            return None
        message = bytes(self._received)
        return message if is_utf8(message) else NOT_UTF8


def out_of_place(*, under_way: bool, starts: bool, text: bool) -> Violation | None:
    """The protocol error of a data frame, if any.

    Args:
        under_way: a fragmented message is incomplete.
        starts: the frame starts a message, rather than continuing one.
        text: the message that it starts is text.
    """
    if under_way:
        return _INTERRUPTED if starts else None
    if not starts:
        return _CONTINUES_NOTHING
    return None if text else NO_BINARY


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are UTF-8. Most text is ASCII, which is detected much faster than by decoding."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
