"""Wakes the worker of this process when another one has stored something to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streamer.contracts.stores import WatchedQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError

RETRY: Final = 1.0
"""Seconds after which a watch that failed begins again. Until then the worker finds work by looking."""


class WakeUps:
    """Watches the queue.

    Args:
        queue: reports what others store.
        wake: of the worker.
        clock: the service's.
        logger: for a watch that fails.
    """

    def __init__(self, queue: WatchedQueue, wake: Callable[[], None], *, clock: Clock, logger: Any) -> None:
        self._queue = queue
        self._wake = wake
        self._clock = clock
        self._logger = logger

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            try:
                await self._queue.watch(self._wake)
            except StoreError as problem:
                self._logger.warning(
                    "the store does not report new requests; the worker looks for them itself", error=str(problem)
                )
            await self._clock.sleep(RETRY)
            # What came meanwhile was not reported.
            self._wake()
