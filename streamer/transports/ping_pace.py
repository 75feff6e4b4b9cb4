"""When a connection is asked by a ping which outcomes the client has taken."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

PAUSE: Final = 0.5
"""Seconds in which a connection is asked once, unless much waits to be confirmed. A pong wakes the service: where a
client gets one outcome after the other, asking after each would cost more than the rest of what it is sent.
"""


class Asking(Protocol):
    """A connection on which outcomes may wait to be confirmed."""

    def ask(self) -> None:
        """Sends the ping that is due, if one is."""
        ...


class PingPace:
    """Which connections were asked lately; one timer for all of them, and none while nothing is asked."""

    __slots__ = ("_asked", "_call_later")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asked: set[Asking] = set()
        self._call_later = loop.call_later

    def begin(self, peer: Asking) -> bool:
        """Whether the connection is to be asked now; if not, its `ask` is called when the pause has ended."""
        asked = self._asked
        if peer in asked:
            return False
        if not asked:
            self._begin_pause()
        asked.add(peer)
        return True

    def _begin_pause(self) -> None:
        self._call_later(PAUSE, self._end)

    def _end(self) -> None:
        asked, self._asked = self._asked, set()
        for peer in asked:
            peer.ask()
