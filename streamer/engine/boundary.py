"""The error boundary around handlers and other foreign code. It cannot be configured away."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.errors import INTERNAL_ERROR, Error
from streamer.core.foreign_code import describe, notes_of
from streamer.core.messages import Request

UNEXPECTED: Final = BaseException
"""Exceptions of foreign code that are handled: all of them. A panic of a Rust extension is no `Exception`, and
`sys.exit` in one request must not end the service. The service itself ends by its signal handlers, which raise nothing;
cancellations are checked before.
"""


def boundary_error(problem: BaseException, logger: Any, *, expose: bool, **context: Any) -> Error:
    """The answer to an unexpected exception: without details for the client; the log has all of them.

    Args:
        problem: the exception.
        logger: gets text and traceback.
        expose: include the exception's type and text in the answer (development only).
        context: request id and other fields of the log line.
    """
    logger.error("a handler raised an unexpected exception", exc_info=problem, **context)
    if expose:
        return Error(INTERNAL_ERROR, describe(problem), {"exception": type(problem).__name__})
    return Error(INTERNAL_ERROR, "The request could not be completed")


class ErrorBoundary:
    """The same for requests that arrive over connections.

    Args:
        logger: gets text and traceback.
        expose: include the exception's type and text in the answer (development only).
    """

    def __init__(self, logger: Any, *, expose: bool) -> None:
        self._logger = logger
        self._expose = expose

    def error_of(self, problem: BaseException, request: Request) -> Error:
        """The answer to an exception during this request."""
        return self.error(problem, request.id, request.connection_id, request.action)

    def error(self, problem: BaseException, request_id: str, connection_id: str, action: str) -> Error:
        """The same for a message that is not a `Request` yet."""
        context = {"request_id": request_id, "connection_id": connection_id, "action": action}
        return boundary_error(problem, self._logger, expose=self._expose, **context)


class CancelledFromWithinError(RuntimeError):
    """A handler raised a CancelledError that was not meant for it."""

    def __init__(self) -> None:
        super().__init__("the handler was cancelled from within")


def default_logger() -> Any:
    """The default logger."""
    import structlog  # noqa: PLC0415 - a tenth of a second that the runtime has spent already

    return structlog.get_logger("streamer")


def log_notes(error: Error, logger: Any, **context: Any) -> None:
    """Logs an error's notes, which are for operators only, such as why a result is not JSON."""
    for note in notes_of(error):
        logger.error(note, code=error.code, **context)
