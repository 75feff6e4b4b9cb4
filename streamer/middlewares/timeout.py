"""Limits the duration of handlers."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from streamer.contracts.middleware import Middleware, Next
from streamer.core.context import may_be_interrupted
from streamer.core.coroutines import EnterTask, Resumed
from streamer.core.errors import TIMEOUT, Error
from streamer.core.messages import Request, Result
from streamer.core.units import format_duration

OPTIONS: Final = {
    "type": "object",
    "properties": {
        "limit": {
            "type": "string",
            "format": "duration",
            "default": "30s",
            "description": "Time limit of requests that are answered at once.",
        },
        "queued_limit": {
            "type": "string",
            "format": "duration",
            "description": "Time limit of an attempt of a queued request. Unlimited if omitted.",
        },
    },
    "additionalProperties": False,
}


class Timeout(Middleware):
    """Ends a handler with TIMEOUT. A handler that never waits is not measured, since it cannot be interrupted."""

    immediate = True

    def __init__(self, *, limit: float = 30.0, queued_limit: float | None = None) -> None:
        self._limit = limit
        self._queued_limit = queued_limit

    async def process(self, request: Request, next: Next, /) -> Result:  # noqa: A002 - the contract's name
        limit = self._queued_limit if request.queued else self._limit
        if limit is None:
            return await next(request)
        # The first step is done by hand: a timer, and a task to cancel, are needed only if the handler waits.
        coroutine: Any = next(request)
        try:
            waits_for = coroutine.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # what the rest of the pipeline returned
        rest = Resumed(coroutine, waits_for)
        try:
            # The caller that stepped this by hand may run in its own task, which the timer must not cancel.
            await EnterTask()
            async with asyncio.timeout(limit) as bound:
                may_be_interrupted(lambda: TIMEOUT if bound.expired() else "")
                return await rest  # type: ignore[no-any-return]  # as above
        except TimeoutError as problem:
            if not bound.expired():
                raise
            raise Error(TIMEOUT, f"The request took longer than {format_duration(limit)}") from problem
