"""Splits messages that are too long for their transport into parts, and joins them. Pure functions.

A part is a message of the form `{"type": "part", "part_of": …, "index": 0, "count": 3, "data": …}`, with the
`request_id` and the `seq` of the whole message. The `data` of all parts, in the order of their indexes, is the text of
the whole.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final

import msgspec

MARK: Final = b'{"type":"part",'
"""The start of every part, which distinguishes it from other messages by one comparison."""
MAX_SIZE: Final = 64 * 1024 * 1024
"""Maximum characters of a joined message."""
MAX_OPEN: Final = 64
"""Maximum number of messages whose parts may arrive at the same time."""
_HEAD: Final = 512
"""Bytes reserved for everything in a part except its data and the ids."""

_encode: Final = msgspec.json.Encoder().encode


class _Named(msgspec.Struct):
    """The fields that a part copies from the whole message."""

    request_id: str | None = None
    seq: int | None = None


class Part(msgspec.Struct, omit_defaults=True, tag_field="type", tag="part"):
    """One part."""

    part_of: str
    index: int
    count: int
    data: str
    request_id: str | None = None
    seq: int | None = None


_named: Final = msgspec.json.Decoder(_Named)
_part: Final = msgspec.json.Decoder(Part)


class TooLongError(Exception):
    """The joined message would be longer than allowed."""

    def __init__(self, request_id: str | None, size: int) -> None:
        super().__init__(
            f"the parts of a message have more than {size} characters, which is the limit for a joined message"
        )
        self.request_id = request_id


def split(message: bytes, limit: int) -> list[bytes]:
    """The message itself if it fits, otherwise its parts.

    Args:
        message: JSON text of an object, in UTF-8.
        limit: maximum bytes of one part; at least about 2,000.
    """
    if len(message) <= limit:
        return [message]
    named = _named.decode(message)
    room = limit - _HEAD - 2 * len(_encode(named.request_id))
    pieces = _pieces(message.decode(), room)
    name = secrets.token_hex(8)
    return [
        _encode(
            Part(
                part_of=name,
                index=index,
                count=len(pieces),
                data=piece,
                request_id=named.request_id,
                seq=named.seq,
            )
        )
        for index, piece in enumerate(pieces)
    ]


def _pieces(text: str, room: int) -> list[str]:
    """The text in pieces, none of which takes more space as a JSON string."""
    pieces = []
    start, length = 0, room
    while start < len(text):
        piece = text[start : start + length]
        size = len(_encode(piece))
        if size > room:
            # Quotes and non-ASCII characters take more space when encoded; the following text is probably similar.
            length = max(len(piece) * room // size - 1, 1)
            continue
        pieces.append(piece)
        start += len(piece)
    return pieces


class Joiner:
    """Joins the parts that arrive over one connection.

    Args:
        max_size: maximum characters of a joined message.
        max_open: maximum number of incomplete messages; one more discards the oldest.
    """

    def __init__(self, max_size: int = MAX_SIZE, max_open: int = MAX_OPEN) -> None:
        self._max_size = max_size
        self._max_open = max_open
        self._open: OrderedDict[str, dict[int, str]] = OrderedDict()

    def add(self, frame: bytes | str) -> str | None:
        """The whole message once all of its parts have arrived; None until then, and for other messages.

        Raises:
            TooLongError: it would be too long; its parts are discarded.
        """
        try:
            part = _part.decode(frame)
        except msgspec.DecodeError:
            return None
        if not 0 <= part.index < part.count:
            return None
        pieces = self._open.setdefault(part.part_of, {})
        pieces[part.index] = part.data
        if sum(map(len, pieces.values())) > self._max_size or part.count > self._max_size:
            del self._open[part.part_of]
            raise TooLongError(part.request_id, self._max_size)
        if len(pieces) == part.count:
            del self._open[part.part_of]
            return "".join(pieces[index] for index in range(part.count))
        if len(self._open) > self._max_open:
            self._open.popitem(last=False)
        return None
