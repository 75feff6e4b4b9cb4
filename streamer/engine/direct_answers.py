"""The answer to a direct request: of what its handler gave back, or of what went wrong."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.core.errors import Error
from streamer.core.messages import ErrorMessage, Request, Response, Result
from streamer.engine.boundary import UNEXPECTED, CancelledFromWithinError, boundary_error, log_notes
from streamer.engine.codec import body_of, encode, encode_error, encode_json, sendable_body
from streamer.engine.sizes import ENVELOPE, fitting, result_too_large


class DirectAnswers:
    """Encodes answers, none of them larger than clients take.

    Args:
        logger: for what no client may see.
        max_result_size: bytes of one result; a larger one is an error instead.
        expose_errors: send the text of unexpected exceptions to clients (development only).
    """

    def __init__(self, logger: Any, *, max_result_size: int, expose_errors: bool) -> None:
        self._logger = logger
        self._expose = expose_errors
        self._max_result_size = max_result_size
        self._max_answer = max_result_size + ENVELOPE

    def encode(self, request: Request, value: Any) -> bytes:
        """The answer of what a handler gave back."""
        try:
            if not isinstance(value, Result):
                value = Result(data=value)
            body = None if value.error is None else body_of(value.error)
            answer = encode(Response(request.id, value.success, value.data, body, value.metadata))
        except UNEXPECTED as problem:
            return self.failed(problem, request)
        # The service's own answers hold results that fit, and are bounded where they are made.
        if len(answer) > self._max_answer and not request.action.startswith("streamer."):
            return self.failed(result_too_large(len(answer), self._max_result_size), request)
        return answer

    def failed(self, problem: BaseException, request: Request) -> bytes:
        """The answer to whatever a direct request raised."""
        if isinstance(problem, Error):
            log_notes(problem, self._logger, request_id=request.id, action=request.action)
            answer = encode_error(problem, request.id)
            if len(answer) > self._max_answer:
                answer = encode_json(ErrorMessage(fitting(sendable_body(problem), self._max_result_size), request.id))
            return answer
        if isinstance(problem, asyncio.CancelledError):
            problem = CancelledFromWithinError()
        return encode_error(self.boundary(problem, request), request.id)

    def boundary(self, problem: BaseException, request: Request) -> Error:
        """The error of an exception that nobody expected; the log has all of it."""
        return self.unexpected(problem, request.id, request.connection_id, request.action)

    def unexpected(self, problem: BaseException, request_id: str, connection_id: str, action: str) -> Error:
        """The same, of a message that is no request yet."""
        return boundary_error(
            problem, self._logger, expose=self._expose,
            request_id=request_id, connection_id=connection_id, action=action,
        )  # fmt: skip
