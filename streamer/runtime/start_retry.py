"""A start that waits until the previous service has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from streamer.core.clock import Clock
from streamer.core.errors import PortInUse, StoreInUse

INTERVAL: Final = 0.1
"""Seconds between two tries."""

Made = TypeVar("Made")


class StartRetry:
    """Retries a start while another service still uses the store or the port.

    Args:
        wait: seconds in all.
        clock: time.
        logger: gets one line with what is waited for.
        stop: set when the start is to be given up.
    """

    def __init__(self, wait: float, clock: Clock, logger: Any, stop: asyncio.Event) -> None:
        self._deadline = clock.monotonic() + wait
        self._clock = clock
        self._logger = logger
        self._stop = stop
        self._logged = False

    async def until_free(self, take: Callable[[], Awaitable[Made]]) -> Made:
        """The result of `take`, once the other service has released what it needs.

        Raises:
            StoreInUse: it was not released in time, or the start was given up.
            PortInUse: as above.
        """
        while True:
            try:
                return await take()
            except (StoreInUse, PortInUse) as problem:
                if self._stop.is_set() or self._clock.monotonic() >= self._deadline:
                    raise
                if not self._logged:
                    self._logged = True
                    self._logger.info("waiting for another service to end", reason=str(problem))
            await self._clock.sleep(INTERVAL)
