"""Combines middleware and handler, once, into the few callables that process a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from streamer.contracts.handlers import BaseHandler, Handler, progress_method
from streamer.contracts.middleware import AdmitNext, HandlerMiddleware, Middleware, Next
from streamer.core.errors import INTERNAL_ERROR, VALIDATION_ERROR, Error
from streamer.core.foreign_code import safe_text
from streamer.core.messages import Request, Result
from streamer.engine.codec import NOT_JSON, not_json
from streamer.engine.validation import Validator

AnyMiddleware = Middleware | HandlerMiddleware


class Pipeline(NamedTuple):
    """The callables of a route."""

    validate: Callable[[Request], None] | None
    """The handler's own check; None when it has none, so that nothing is called."""
    admit: AdmitNext | None
    """None when no middleware has an `admit` method."""
    direct: Next
    """Around `process`: for direct requests."""
    queued: Next
    """Around `process_with_progress` where the handler has it: for the worker."""
    estimate: Callable[[], float]


def compose(
    handler: Handler, middlewares: Sequence[AnyMiddleware], result_validator: Validator | None = None
) -> Pipeline:
    """Combines the middlewares, the first one outermost, with the handler.

    Methods that a middleware does not override are left out. A callable with the original's interface (handler to
    handler) keeps its place in the order, and its `validate` and `estimated_duration` are used too.
    """
    direct: Next = handler.process
    queued: Next = _with_progress(handler)
    if middlewares or result_validator is not None:
        direct, queued = _as_result(direct), _as_result(queued)
    if result_validator is not None:
        direct, queued = _checked(direct, result_validator), _checked(queued, result_validator)
    admit: AdmitNext | None = None
    face = handler
    for middleware in reversed(middlewares):
        if isinstance(middleware, Middleware):
            if type(middleware).process is not Middleware.process:
                direct, queued = _around(middleware, direct), _around(middleware, queued)
            if type(middleware).admit is not Middleware.admit:
                admit = _admission(middleware, admit or _accept)
        else:
            face = middleware(_Stage(face, direct, queued))
            direct, queued = _as_result(face.process), _as_result(_with_progress(face))
    return Pipeline(_own_validation(face), admit, direct, queued, face.estimated_duration)


def is_immediate(handler_is: bool, middlewares: Sequence[AnyMiddleware]) -> bool:
    """Whether the whole can be stepped without a task: the handler's component and every middleware declare it."""
    return handler_is and all(isinstance(item, Middleware) and item.immediate for item in middlewares)


async def _accept(_request: Request) -> None:
    """The innermost admission: accepted."""


def _with_progress(handler: Handler) -> Next:
    run = progress_method(handler)
    if run is None:
        return handler.process

    def process(request: Request) -> Awaitable[Result]:
        return run(request, request.progress)

    return process


def _around(middleware: Middleware, inner: Next) -> Next:
    process = middleware.process

    def call(request: Request) -> Awaitable[Result]:
        return process(request, inner)

    return call


def _admission(middleware: Middleware, inner: AdmitNext) -> AdmitNext:
    admit = middleware.admit

    def call(request: Request) -> Awaitable[None]:
        return admit(request, inner)

    return call


def _as_result(inner: Next) -> Next:
    """Middleware always gets a Result; a handler may return plain data."""

    async def call(request: Request) -> Result:
        value: Any = await inner(request)
        return value if isinstance(value, Result) else Result(data=value)

    return call


def _checked(inner: Next, validator: Validator) -> Next:
    async def call(request: Request) -> Result:
        result = await inner(request)
        if result.success:
            try:
                plain = msgspec.to_builtins(result.data, str_keys=True)
            except NOT_JSON as problem:
                raise not_json(problem) from problem
            if not validator.is_valid(plain):
                wrong = validator.error(plain, "result")
                error = Error(INTERNAL_ERROR, "The request could not be completed")
                error.add_note(f"the handler's result does not match the action's result_schema: {wrong.message}")
                raise error
        return result

    return call


def check(validate: Callable[[Request], None], request: Request) -> None:
    """Runs a handler's own check.

    Raises:
        Error: the request is invalid; VALIDATION_ERROR if the handler raised a ValueError.
    """
    try:
        validate(request)
    except Error:
        raise
    except ValueError as problem:
        raise Error(VALIDATION_ERROR, safe_text(problem)) from None


def _own_validation(handler: Handler) -> Callable[[Request], None] | None:
    if isinstance(handler, BaseHandler) and not handler.validates():
        return None
    return handler.validate


class _Stage:
    """The handler that a middleware with the original's interface wraps: the rest of the pipeline."""

    def __init__(self, handler: Handler, direct: Next, queued: Next) -> None:
        self.validate = handler.validate
        self.estimated_duration = handler.estimated_duration
        self._direct = direct
        self._queued = queued

    async def process(self, request: Request, /) -> Result:
        # A wrapper that implements only `process` must not suppress a queued request's progress.
        return await (self._queued if request.queued else self._direct)(request)

    async def process_with_progress(self, request: Request, reporter: Any, /) -> Result:
        if reporter is not request.progress:
            # The wrapper observes progress: everything inside reports to it.
            request = msgspec.structs.replace(request, progress=reporter)
        return await self._queued(request)
