"""One log line per request that reaches its handler."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from streamer.contracts.middleware import Middleware, Next
from streamer.core.clock import Clock
from streamer.core.context import why_interrupted
from streamer.core.errors import CANCELLED, OVERLOADED, Error
from streamer.core.messages import Request, Result

OPTIONS: Final = {
    "type": "object",
    "properties": {
        "slower_than": {
            "type": "string",
            "format": "duration",
            "default": "0s",
            "description": "Log a success only if it took at least this long. Failures are always logged.",
        },
    },
    "additionalProperties": False,
}


class AccessLog(Middleware):
    """Logs action, ids, outcome and duration: once per direct request, once per attempt of a queued one.

    The outcome is `ok` or an error code. It is `released` for an attempt that was returned to the queue, and `lost` for
    one whose request another worker has claimed or an operator has ended.
    """

    immediate = True

    def __init__(self, *, clock: Clock, logger: Any, slower_than: float = 0.0) -> None:
        self._clock = clock
        self._logger = logger
        self._slower_than = slower_than

    async def process(self, request: Request, next: Next, /) -> Result:  # noqa: A002 - the contract's name
        started = self._clock.monotonic()
        outcome = "INTERNAL_ERROR"
        try:
            result = await next(request)
        except Error as error:
            outcome = error.code
            raise
        except asyncio.CancelledError:
            # Only a shutdown cancels a direct request, and its client gets this code.
            outcome = why_interrupted(CANCELLED if request.queued else OVERLOADED)
            raise
        else:
            outcome = "ok" if result.success else (result.error.code if result.error is not None else "failed")
            return result
        finally:
            took = self._clock.monotonic() - started
            if outcome != "ok" or took >= self._slower_than:
                self._logger.info(
                    "request",
                    action=request.action,
                    request_id=request.id,
                    connection_id=request.connection_id,
                    queued=request.queued,
                    attempt=request.attempt,
                    outcome=outcome,
                    duration_ms=round(took * 1000, 3),
                )
