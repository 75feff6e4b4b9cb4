"""The error boundary: outermost, and not configurable."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.errors import INTERNAL_ERROR, Error
from streamer.core.foreign_code import describe, notes_of
from streamer.core.messages import Request

UNEXPECTED: Final = BaseException
"""What foreign code may raise without being allowed to: all there is. A panic of a Rust extension is no `Exception`,
and `sys.exit` in one request must not end the service for everybody. The service itself ends by its signal handlers,
which raise nothing; a cancellation is looked at before.
"""


def boundary_error(problem: BaseException, logger: Any, *, expose: bool, **context: Any) -> Error:
    """The answer to an exception that no handler should let through: neutral for the client, whole in the log.

    Args:
        problem: what was raised.
        logger: gets text and traceback.
        expose: put the exception's type and text into the answer (development only).
        context: request id and whatever else the log line is found by.
    """
    logger.error("a handler raised an unexpected exception", exc_info=problem, **context)
    if expose:
        return Error(INTERNAL_ERROR, describe(problem), {"exception": type(problem).__name__})
    return Error(INTERNAL_ERROR, "The request could not be completed")


class ErrorBoundary:
    """The same for requests that come over connections.

    Args:
        logger: gets text and traceback.
        expose: put the exception's type and text into the answer (development only).
    """

    def __init__(self, logger: Any, *, expose: bool) -> None:
        self._logger = logger
        self._expose = expose

    def error_of(self, problem: BaseException, request: Request) -> Error:
        """The answer to an exception that this request has met."""
        return self.error(problem, request.id, request.connection_id, request.action)

    def error(self, problem: BaseException, request_id: str, connection_id: str, action: str) -> Error:
        """The same for a message that is no `Request` yet."""
        context = {"request_id": request_id, "connection_id": connection_id, "action": action}
        return boundary_error(problem, self._logger, expose=self._expose, **context)


class CancelledFromWithinError(RuntimeError):
    """A handler let a CancelledError through that nobody meant for it."""

    def __init__(self) -> None:
        super().__init__("the handler was cancelled from within")


def default_logger() -> Any:
    """The logger of whoever was given none."""
    import structlog  # noqa: PLC0415 - a tenth of a second that the runtime has spent already

    return structlog.get_logger("streamer")


def log_notes(error: Error, logger: Any, **context: Any) -> None:
    """Logs what an error says to the operator only (its notes), such as why a result is not JSON."""
    for note in notes_of(error):
        logger.error(note, code=error.code, **context)
