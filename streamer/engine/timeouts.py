"""Waits with a time limit."""

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
    """Whether the coroutine ended within that time. If not, it is cancelled."""
    waiting = asyncio.ensure_future(wanted)
    bound = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({waiting, bound}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.done()
    finally:
        waiting.cancel()
        bound.cancel()


async def bounded(started: Awaitable[Any], limit: float) -> Any:
    """The result of the awaitable, within that many seconds.

    Raises:
        Error: TIMEOUT. A TimeoutError of the awaitable's own passes as it is.
    """
    try:
        async with asyncio.timeout(limit) as bound:
            may_be_interrupted(lambda: TIMEOUT if bound.expired() else "")
            return await started
    except TimeoutError as problem:
        if not bound.expired():
            raise
        # With where it was when the time was over: for the operator, the client does not see it.
        raise Error(TIMEOUT, f"The request took longer than {format_duration(limit)}") from problem
