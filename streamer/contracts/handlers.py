"""Handlers, which run requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, runtime_checkable

from streamer.core.messages import Reporter as ProgressReporter
from streamer.core.messages import Request, Result

__all__ = [
    "BaseHandler",
    "Handler",
    "HandlerFunc",
    "HandlerWithProgress",
    "ProgressReporter",
    "simple_handler",
]

ProcessFunction = Callable[[Request], Awaitable[Any]]
Validator = Callable[[Request], None]


@runtime_checkable
class Handler(Protocol):
    """Runs the requests of one action. One instance serves all of them concurrently."""

    def validate(self, request: Request, /) -> None:
        """Raises `Error` (or ValueError, which becomes VALIDATION_ERROR) when the request is invalid.

        Called once, when the request is accepted, after validation by the action's JSON Schema. It must not block.
        """
        ...

    def estimated_duration(self) -> float:
        """The usual duration of a run in seconds; it decides whether the request is queued. The file can override
        it.
        """
        ...

    async def process(self, request: Request, /) -> Result:
        """Runs the request. A queued request may run more than once: after the death of a worker, or after a retryable
        error. A cancellation (timeout, shutdown, or by the owner) arrives as CancelledError.
        """
        ...


@runtime_checkable
class HandlerWithProgress(Handler, Protocol):
    """A handler that reports progress."""

    async def process_with_progress(self, request: Request, reporter: ProgressReporter, /) -> Result:
        """As `process`, and used in its place for queued requests."""
        ...


def progress_method(handler: Any) -> Callable[[Request, ProgressReporter], Awaitable[Any]] | None:
    """The handler's `process_with_progress`; None for one that reports no progress."""
    return getattr(handler, "process_with_progress", None)


class BaseHandler:
    """A base class for handlers that implement only `process`: it has an estimate and a validator.

    Args:
        estimated_duration: seconds.
        validator: raises when a request is invalid.
    """

    def __init__(self, *, estimated_duration: float = 0.0, validator: Validator | None = None) -> None:
        self._estimated_duration = estimated_duration
        self._validator = validator

    def estimated_duration(self) -> float:
        """The usual duration of a run, in seconds."""
        return self._estimated_duration

    def validates(self) -> bool:
        """Whether `validate` can refuse anything: there is a validator, or a subclass overrides it."""
        return self._validator is not None or type(self).validate is not BaseHandler.validate

    def validate(self, request: Request, /) -> None:
        """Calls the validator, if there is one."""
        if self._validator is not None:
            self._validator(request)


class HandlerFunc(BaseHandler):
    """A handler made from one coroutine function."""

    def __init__(
        self,
        process: ProcessFunction,
        estimated_duration: float = 0.0,
        validator: Validator | None = None,
    ) -> None:
        super().__init__(estimated_duration=estimated_duration, validator=validator)
        self._process = process

    async def process(self, request: Request, /) -> Result:
        """Calls the function; plain data that it returns becomes the result's data."""
        value = await self._process(request)
        return value if isinstance(value, Result) else Result(data=value)


def simple_handler(name: str, process: ProcessFunction) -> HandlerFunc:
    """A handler with an estimate of 100 ms and no validator; `name` is used in messages."""
    handler = HandlerFunc(process, 0.1)
    handler.__dict__["name"] = name
    return handler
