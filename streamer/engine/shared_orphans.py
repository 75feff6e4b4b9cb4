"""Cancels orphaned requests in time, if several processes hold connections."""

from __future__ import annotations

import asyncio
import heapq
from typing import Any, Final

from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.errors import StoreError
from streamer.engine.orphans import OrphanCanceller
from streamer.engine.timeouts import wait_up_to

LOOK: Final = 5.0
"""Seconds between two searches for requests orphaned by a process that has ended."""


class OrphanTimes:
    """When the requests that connections of this process have left are due.

    Args:
        clock: the service's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[float] = []
        self._changed = asyncio.Event()

    async def note(self, _key: Key, after: float) -> None:
        """An `OnOrphaned`."""
        heapq.heappush(self._due, self._clock.monotonic() + after)
        self._changed.set()

    async def due(self, longest: float) -> None:
        """Returns when the next request is due, at the latest after this many seconds."""
        ends = self._clock.monotonic() + longest
        while True:
            now = self._clock.monotonic()
            while self._due and self._due[0] <= now:
                heapq.heappop(self._due)
                ends = now
            if ends <= now:
                return
            self._changed.clear()
            until = min([ends, *self._due[:1]])
            await wait_up_to(until - now, self._changed.wait(), self._clock)


class SharedOrphanWatch:
    """Calls the canceller when the grace period of a request may be over.

    Args:
        times: of the requests that were left here.
        canceller: cancels.
        logger: for errors.
    """

    def __init__(self, times: OrphanTimes, canceller: OrphanCanceller, *, logger: Any) -> None:
        self._times = times
        self._canceller = canceller
        self._logger = logger

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            await self._times.due(LOOK)
            try:
                await self._canceller.sweep()
            except StoreError as problem:
                self._logger.warning("orphaned requests could not be read", error=str(problem))
