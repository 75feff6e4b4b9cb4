"""Outcomes into the store, again and again while it refuses: work that was done must not be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from streamer.core.clock import Clock
from streamer.core.errors import LeaseLost, StoreClosed, StoreError
from streamer.engine.log_throttle import LogThrottle

_WAITS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries; the last one repeats while the lease lives."""


class OutcomeWriter:
    """Repeats writes.

    Args:
        clock: the service's.
        throttle: for what goes wrong: a store that refuses does so for all attempts.
    """

    def __init__(self, clock: Clock, throttle: LogThrottle) -> None:
        self._clock = clock
        self._throttle = throttle

    async def write(self, request_id: str, write: Callable[[], Awaitable[Any]], stopped: Callable[[], bool]) -> None:
        """Returns when the outcome is written.

        Args:
            request_id: whose outcome.
            write: tries once.
            stopped: whether the attempt was stopped meanwhile; its claim then runs out, and the request is tried again.

        Raises:
            LeaseLost: another process has ended or claimed the request.
            CancelledError: it could not be written before the attempt was stopped or the store was closed.
            Error: as the store says: it never takes this outcome.
        """
        tries = 0
        while True:
            try:
                await write()
            except LeaseLost:
                raise
            except StoreError as problem:
                if isinstance(problem, StoreClosed) or stopped():
                    raise asyncio.CancelledError from problem
                self._throttle.error(
                    "an outcome could not be written; trying again", request_id=request_id, error=str(problem)
                )
                await self._clock.sleep(_WAITS[min(tries, len(_WAITS) - 1)])
                tries += 1
            else:
                return
