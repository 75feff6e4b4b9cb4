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

    __slots__ = ("_call_later", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting: set[Asking] = set()
        self._call_later = loop.call_later

    def begin(self, peer: Asking) -> bool:
        """Whether the connection may be pinged now; if not, its `ask` is called when the pause has ended."""
        waiting = self._waiting
        if peer in waiting:
            return False
        if not waiting:
            self._begin_pause()
        waiting.add(peer)
        return True

    def _begin_pause(self) -> None:
        self._call_later(PAUSE, self._end)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for peer in waiting:
            peer.ask()
