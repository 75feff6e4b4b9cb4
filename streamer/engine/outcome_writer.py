"""Stores outcomes, with retries while the store refuses: finished work must not be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from streamer.core.clock import Clock
from streamer.core.errors import LeaseLost, StoreClosed, StoreError
from streamer.engine.log_throttle import LogThrottle

_WAITS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries; the last value repeats while the lease is valid."""


class OutcomeWriter:
    """Repeats writes.

    Args:
        clock: the service's.
        throttle: for errors: a store that refuses does so for all attempts.
    """

    def __init__(self, clock: Clock, throttle: LogThrottle) -> None:
        self._clock = clock
        self._throttle = throttle

    async def write(self, request_id: str, write: Callable[[], Awaitable[Any]], stopped: Callable[[], bool]) -> None:
        """Returns when the outcome is stored.

        Args:
            request_id: the request.
            write: tries once.
            stopped: whether the attempt was stopped meanwhile; its claim then expires, and the request is attempted
                again.

        Raises:
            LeaseLost: another process has ended or claimed the request.
            CancelledError: the attempt was stopped or the store was closed before it could be stored.
            Error: from the store: it will never accept this outcome.
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
                    "an outcome could not be stored; trying again", request_id=request_id, error=str(problem)
                )
                await self._clock.sleep(_WAITS[min(tries, len(_WAITS) - 1)])
                tries += 1
            else:
                return
