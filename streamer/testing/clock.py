"""A clock that tests move by hand."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

_SETTLE = 50
"""Iterations of the loop for woken tasks, before time moves on."""


class ManualClock:
    """A `Clock` that is moved by hand.

    `monotonic` and `now` move together; `jump` moves only `now`, as an operator or a time server does.

    Args:
        now: its initial time in seconds since 1970.
    """

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Returns when the clock was moved that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many tasks wait."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def jump(self, seconds: float) -> None:
        """Moves only the wall clock; no sleeping task wakes."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Moves time forward, waking sleepers in the order of their times; each may act before the next wakes."""
        target = self._monotonic + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            self._now += max(due - self._monotonic, 0.0)
            self._monotonic = max(due, self._monotonic)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self._now += target - self._monotonic
        self._monotonic = target
        await settle()


async def settle() -> None:
    """Lets all ready tasks run."""
    for _ in range(_SETTLE):
        await asyncio.sleep(0)
