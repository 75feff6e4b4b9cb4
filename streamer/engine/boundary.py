"""The error boundary: outermost, and not configurable."""

from __future__ import annotations

from typing import Any

from streamer.core.errors import INTERNAL_ERROR, Error


def boundary_error(problem: Exception, logger: Any, *, expose: bool, **context: Any) -> Error:
    """The answer to an exception that no handler should let through: neutral for the client, whole in the log.

    Args:
        problem: what was raised.
        logger: gets text and traceback.
        expose: put the exception's type and text into the answer (development only).
        context: request id and whatever else the log line is found by.
    """
    logger.error("a handler raised an unexpected exception", exc_info=problem, **context)
    if expose:
        return Error(INTERNAL_ERROR, f"{type(problem).__name__}: {problem}", {"exception": type(problem).__name__})
    return Error(INTERNAL_ERROR, "The request could not be completed")


def log_notes(error: Error, logger: Any, **context: Any) -> None:
    """Logs what an error says to the operator only (its notes), such as why a result is not JSON."""
    for note in getattr(error, "__notes__", ()):
        logger.error(note, code=error.code, **context)
