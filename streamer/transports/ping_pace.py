"""Limits how often a connection is pinged to confirm outcomes."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

PAUSE: Final = 0.5
"""Seconds in which a connection is pinged once, unless much is unconfirmed. A pong wakes the service: with one outcome
after the other, a ping for each would cost more than everything else that is sent.
"""


class Asking(Protocol):
    """A connection whose outcomes may need a confirmation."""

    def ask(self) -> None:
        """Sends the next ping, if there is one."""
        ...


class PingPace:
    """The connections that were pinged recently; one timer for all of them, and none without pings."""

    __slots__ = ("_asked", "_call_later")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asked: set[Asking] = set()
        self._call_later = loop.call_later

    def begin(self, peer: Asking) -> bool:
        """Whether the connection may be pinged now; if not, its `ask` is called when the pause has ended."""
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
