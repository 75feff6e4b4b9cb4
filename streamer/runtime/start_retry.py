"""A start that waits for the service before it to end."""

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
    """How long a start waits for what another service still has: its store, its port.

    Args:
        wait: seconds in all.
        clock: time.
        logger: hears once what is waited for.
        stop: set when nobody wants the service any more.
    """

    def __init__(self, wait: float, clock: Clock, logger: Any, stop: asyncio.Event) -> None:
        self._deadline = clock.monotonic() + wait
        self._clock = clock
        self._logger = logger
        self._stop = stop
        self._told = False

    async def until_free(self, take: Callable[[], Awaitable[Made]]) -> Made:
        """What `take` gives once the other service has let go of it.

        Raises:
            StoreInUse: it did not in time, or this service was told to stop.
            PortInUse: as above.
        """
        while True:
            try:
                return await take()
            except (StoreInUse, PortInUse) as problem:
                if self._stop.is_set() or self._clock.monotonic() >= self._deadline:
                    raise
                if not self._told:
                    self._told = True
                    self._logger.info("waiting for another service to end", reason=str(problem))
            await self._clock.sleep(INTERVAL)
