"""Waits with time limits, by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

from streamer.core.clock import Clock
from streamer.core.context import may_be_interrupted
from streamer.core.errors import TIMEOUT, Error
from streamer.core.units import format_duration

STOP_GRACE: Final = 5.0
"""Seconds that handlers get to end after they were cancelled."""


async def wait_up_to(seconds: float, wanted: Coroutine[Any, Any, Any], clock: Clock) -> bool:
    """Whether the coroutine ended in that time. Otherwise it is abandoned."""
    waiting = asyncio.ensure_future(wanted)
    bound = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({waiting, bound}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.done()
    finally:
        waiting.cancel()
        bound.cancel()


async def bounded(started: Awaitable[Any], limit: float) -> Any:
    """The awaitable's result, within this many seconds.

    Raises:
        Error: TIMEOUT. The awaitable's own TimeoutError is raised unchanged.
    """
    try:
        async with asyncio.timeout(limit) as bound:
            may_be_interrupted(lambda: TIMEOUT if bound.expired() else "")
            return await started
    except TimeoutError as problem:
        if not bound.expired():
            raise
        # With the place where it was waiting: for the operator, not for the client.
        raise Error(TIMEOUT, f"The request took longer than {format_duration(limit)}") from problem
