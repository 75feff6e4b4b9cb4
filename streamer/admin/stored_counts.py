"""How many requests the store has in each state: read now and then, because counting may read very many of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError

OWN: Final = 15.0
"""Seconds between two counts of a store that belongs to one process."""
SHARED: Final = 300.0
"""The same of a store of several processes: each of them counts, and some pay for what is read."""
SHARE: Final = 50
"""A count that took a second is not repeated for so many seconds: counting may take 2 % of the time."""


class StoredCounts:
    """Counts when it is wanted, and no more often than it may. Belongs to the service's event loop.

    Args:
        store: of the service.
        interval: seconds between two counts at least.
        clock: the service's.

    Attributes:
        newest: by state; None before the first count. Any thread may read it.
    """

    def __init__(self, store: RequestQueue, interval: float, clock: Clock) -> None:
        self.newest: Mapping[str, int] | None = None
        self._store = store
        self._interval = interval
        self._clock = clock
        self._next = 0.0
        self._counting: asyncio.Task[None] | None = None

    def wanted(self) -> None:
        """Somebody would like to know; the answer is in `newest` a little later."""
        if self._counting is None and self._clock.monotonic() >= self._next:
            self._counting = asyncio.create_task(self._count(), name="stored counts")
            self._counting.add_done_callback(self._counted)

    async def close(self) -> None:
        """Counts no more."""
        counting = self._counting
        if counting is not None:
            counting.cancel()
            await asyncio.wait({counting})

    async def _count(self) -> None:
        began = self._clock.monotonic()
        try:
            self.newest = {status.value: count for status, count in (await self._store.counts()).items()}
        except StoreError:
            # The store reports its own state; an old number is worse than none.
            self.newest = None
        finally:
            now = self._clock.monotonic()
            self._next = now + max(self._interval, SHARE * (now - began))

    def _counted(self, _task: asyncio.Task[None]) -> None:
        self._counting = None
