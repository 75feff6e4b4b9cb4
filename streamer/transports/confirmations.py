"""Tracks which final messages a client has received: it answers a ping that is sent after them (RFC 6455, section
5.5.3).
"""

from __future__ import annotations

import secrets
from collections import deque
from itertools import count
from typing import Final

MOST: Final = 10_000
"""Maximum unconfirmed messages of one connection; beyond that, the oldest are forgotten and stay unconfirmed."""
_PREFIX: Final = secrets.token_bytes(8)
"""The pong repeats the ping's payload, so it cannot be confused with other pongs of the client, or guessed."""
_SIZE: Final = len(_PREFIX) + 8
_HEADER: Final = bytes((0x89, _SIZE))
_markers: Final = count(1)


class Confirmations:
    """The final messages of one connection whose pong has not arrived yet.

    One ping is enough for all messages in one write, and one pong for all pings before it: a client may answer only the
    newest of several pings.
    """

    __slots__ = ("_due", "_waiting", "size")

    def __init__(self) -> None:
        self.size = 0
        """Bytes of the messages that may not have arrived yet."""
        self._due = 0
        self._waiting: deque[tuple[int, str, int]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def due(self) -> bool:
        """Whether a ping must follow the queued messages."""
        return self._due != 0

    def expect(self, name: str, size: int) -> None:
        """A final message with that name was queued; the next ping is sent after it."""
        if not self._due:
            self._due = next(_markers)
        if len(self._waiting) == MOST:
            self.size -= self._waiting.popleft()[2]
        self._waiting.append((self._due, name, size))
        self.size += size

    def ping_frame(self) -> bytes:
        """The ping to send."""
        marker, self._due = self._due, 0
        return _HEADER + _payload(marker)

    def newest_payload(self) -> bytes:
        """The payload of the newest ping: sending it again proves no less."""
        return _payload(self._waiting[-1][0])

    def arrived(self) -> None:
        """All messages have left the buffers. The pongs, if they arrive, show whether the client received them."""
        self.size = 0
        self._waiting = deque((marker, name, 0) for marker, name, _ in self._waiting)

    def answered(self, payload: bytes) -> list[str]:
        """The names of the messages that this pong confirms; none when it answers no such ping."""
        if len(payload) != _SIZE or not payload.startswith(_PREFIX):
            return []
        marker = int.from_bytes(payload[len(_PREFIX) :])
        waiting = self._waiting
        # The next ping has not been sent, so no pong can confirm its messages.
        sent = self._due or marker + 1
        if waiting and marker > waiting[-1][0]:
            return []
        names = []
        while waiting and waiting[0][0] <= marker and waiting[0][0] < sent:
            _, name, size = waiting.popleft()
            self.size -= size
            names.append(name)
        return names


def _payload(marker: int) -> bytes:
    return _PREFIX + marker.to_bytes(8)
