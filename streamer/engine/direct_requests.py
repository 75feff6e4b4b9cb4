"""Answers direct requests: runs their handlers, and encodes results and exceptions."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.contracts.connections import Peer
from streamer.core.context import current_request
from streamer.core.coroutines import Resumed
from streamer.core.errors import Error
from streamer.core.foreign_code import task_is_cancelled
from streamer.core.messages import ErrorMessage, Request, Response, Result
from streamer.engine import refusals
from streamer.engine.background import BackgroundTasks
from streamer.engine.boundary import UNEXPECTED, CancelledFromWithinError, ErrorBoundary, log_notes
from streamer.engine.codec import body_of, encode, encode_error, encode_json, sendable_body
from streamer.engine.routes import Route
from streamer.engine.sizes import ENVELOPE, fitting, result_too_large
from streamer.engine.timeouts import bounded


class DirectRequests:
    """Runs handlers and sends their answers, none of them larger than clients accept.

    Args:
        tasks: run handlers that do not end immediately.
        boundary: converts unexpected exceptions to errors.
        logger: for details that clients must not see.
        max_result_size: maximum bytes of one result; a larger one is an error instead.
    """

    def __init__(self, tasks: BackgroundTasks, boundary: ErrorBoundary, logger: Any, *, max_result_size: int) -> None:
        self._tasks = tasks
        self._boundary = boundary
        self._logger = logger
        self._max_result_size = max_result_size
        self._max_answer = max_result_size + ENVELOPE

    def step(self, peer: Peer, route: Route, request: Request) -> None:
        """Does the first step by hand: a handler that does not wait is answered without a task."""
        try:
            coroutine: Any = (
                _run(route, request) if route.pipeline.admit is not None else route.pipeline.direct(request)
            )
        except StopIteration as problem:
            # Raised by a `process` that is not a coroutine function; below, it would look like a return value.
            peer.send(encode_error(self._boundary.error_of(problem, request), request.id))
            return
        except UNEXPECTED as problem:
            peer.send(self._failed(problem, request))
            return
        try:
            waits_for = coroutine.send(None)
        except StopIteration as stop:
            peer.send(self._encode(request, stop.value))
        except UNEXPECTED as problem:
            peer.send(self._failed(problem, request))
        else:
            peer.running += 1
            self._tasks.start(self._answer(peer, route, request, Resumed(coroutine, waits_for)))

    def start(self, peer: Peer, route: Route, request: Request) -> None:
        """Runs all of it in a task."""
        peer.running += 1
        self._tasks.start(self._answer(peer, route, request, None))

    async def _answer(self, peer: Peer, route: Route, request: Request, started: Any) -> None:
        current_request.set(request)
        try:
            if started is None:
                started = _run(route, request)
            if route.timeout is None:
                value = await started
            else:
                value = await bounded(started, route.timeout)
            answer = self._encode(request, value)
        except UNEXPECTED as problem:
            if isinstance(problem, asyncio.CancelledError) and task_is_cancelled():
                peer.send(encode_error(refusals.too_late(), request.id))
                raise
            answer = self._failed(problem, request)
        finally:
            peer.running -= 1
        peer.send(answer)

    def _encode(self, request: Request, value: Any) -> bytes:
        try:
            if not isinstance(value, Result):
                value = Result(data=value)
            body = None if value.error is None else body_of(value.error)
            answer = encode(Response(request.id, value.success, value.data, body, value.metadata))
        except UNEXPECTED as problem:
            return self._failed(problem, request)
        # The service's own answers are limited where they are created.
        if len(answer) > self._max_answer and not request.action.startswith("streamer."):
            return self._failed(result_too_large(len(answer), self._max_result_size), request)
        return answer

    def _failed(self, problem: BaseException, request: Request) -> bytes:
        """The answer to an exception of a direct request."""
        if isinstance(problem, Error):
            log_notes(problem, self._logger, request_id=request.id, action=request.action)
            answer = encode_error(problem, request.id)
            if len(answer) > self._max_answer:
                answer = encode_json(ErrorMessage(fitting(sendable_body(problem), self._max_result_size), request.id))
            return answer
        if isinstance(problem, asyncio.CancelledError):
            problem = CancelledFromWithinError()
        return encode_error(self._boundary.error_of(problem, request), request.id)


async def _run(route: Route, request: Request) -> Any:
    if route.pipeline.admit is not None:
        await route.pipeline.admit(request)
    return await route.pipeline.direct(request)
