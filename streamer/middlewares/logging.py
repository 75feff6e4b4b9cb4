"""The original's logging middleware with its interface: a callable that wraps a handler."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from streamer.contracts.handlers import Handler, progress_method
from streamer.contracts.middleware import HandlerMiddleware
from streamer.core.clock import Clock, SystemClock
from streamer.core.foreign_code import describe
from streamer.core.messages import Reporter, Request, Result
from streamer.core.units import format_duration

Log = Callable[..., Any]


def logging_middleware(logger: Log, *, clock: Clock | None = None) -> HandlerMiddleware:
    """A middleware that logs the start and the end of every run.

    Args:
        logger: called with a format and its arguments, as `logging.Logger.info` is.
        clock: time.
    """

    def wrap(handler: Handler) -> Handler:
        return _LoggingHandler(handler, logger, clock or SystemClock())

    return wrap


class _LoggingHandler:
    def __init__(self, handler: Handler, logger: Log, clock: Clock) -> None:
        self.validate = handler.validate
        self.estimated_duration = handler.estimated_duration
        self._handler = handler
        self._logger = logger
        self._clock = clock

    async def process(self, request: Request, /) -> Result:
        return await self._logged(request, self._handler.process(request))

    async def process_with_progress(self, request: Request, reporter: Reporter, /) -> Result:
        run = progress_method(self._handler)
        running = self._handler.process(request) if run is None else run(request, reporter)
        return await self._logged(request, running)

    def _log(self, line: str, *arguments: object) -> None:
        # A logger that fails must not fail the request: `print` fails when standard output is closed.
        with contextlib.suppress(Exception):
            self._logger(line, *arguments)

    async def _logged(self, request: Request, running: Any) -> Result:
        self._log("request %s starts: action %s", request.id, request.action)
        started = self._clock.monotonic()
        try:
            result = await running
        except BaseException as problem:
            took = format_duration(self._clock.monotonic() - started)
            self._log("request %s failed after %s: %s", request.id, took, describe(problem))
            raise
        took = format_duration(self._clock.monotonic() - started)
        # A return value that is not a Result is the data of one.
        success = not isinstance(result, Result) or result.success
        self._log("request %s ended after %s: success %s", request.id, took, success)
        return result  # type: ignore[no-any-return]  # a handler may return plain data
