"""Wakes the worker of this process when another process has stored a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streamer.contracts.stores import WatchedQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError

RETRY: Final = 1.0
"""Seconds after which a failed watch starts again. Until then the worker polls."""


class WakeUps:
    """Watches the queue.

    Args:
        queue: reports requests stored by other processes.
        wake: of the worker.
        clock: the service's.
        logger: for a failed watch.
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
                    "the store does not report new requests; the worker polls instead", error=str(problem)
                )
            await self._clock.sleep(RETRY)
            # Requests that arrived meanwhile were not reported.
            self._wake()
