"""Which final messages a client has taken: it answers a ping that is sent after them (RFC 6455, section 5.5.3)."""

from __future__ import annotations

import secrets
from collections import deque
from itertools import count
from typing import Final

MOST: Final = 10_000
"""Messages of one connection that may wait to be confirmed; of more, the oldest stay unconfirmed."""
_PREFIX: Final = secrets.token_bytes(8)
"""The pong repeats the ping's payload, so no other pong of the client is mistaken for it, and none can be guessed."""
_SIZE: Final = len(_PREFIX) + 8
_HEADER: Final = bytes((0x89, _SIZE))
_markers: Final = count(1)


class Confirmations:
    """The final messages of one connection whose pong has not come yet.

    One ping is enough for all messages that leave in one write, and one pong for all pings before it: a client may
    answer only the newest of several.
    """

    __slots__ = ("_due", "_waiting", "size")

    def __init__(self) -> None:
        self.size = 0
        """Bytes of those that may still be on their way."""
        self._due = 0
        self._waiting: deque[tuple[int, str, int]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def due(self) -> bool:
        """Whether a ping must follow what was queued."""
        return self._due != 0

    def expect(self, name: str, size: int) -> None:
        """A final message of that name was queued; the next ping is sent after it."""
        if not self._due:
            self._due = next(_markers)
        if len(self._waiting) == MOST:
            self.size -= self._waiting.popleft()[2]
        self._waiting.append((self._due, name, size))
        self.size += size

    def ping_frame(self) -> bytes:
        """The ping that is due."""
        marker, self._due = self._due, 0
        return _HEADER + _payload(marker)

    def newest_payload(self) -> bytes:
        """The payload of the newest ping: one sent now shows no less."""
        return _payload(self._waiting[-1][0])

    def arrived(self) -> None:
        """Nothing of them is on its way any more. Whether the client took them, its pongs say, if they ever come."""
        self.size = 0
        self._waiting = deque((marker, name, 0) for marker, name, _ in self._waiting)

    def answered(self, payload: bytes) -> list[str]:
        """The names of the messages that this pong shows to have been taken; none when it answers no ping of these."""
        if len(payload) != _SIZE or not payload.startswith(_PREFIX):
            return []
        marker = int.from_bytes(payload[len(_PREFIX) :])
        waiting = self._waiting
        # What the ping that is due will ask about has not been sent: nothing can answer for it.
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
