"""The cause of a failed attempt, for operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streamer.core.attempts import Cause
from streamer.core.errors import Error
from streamer.core.foreign_code import format_traceback, safe_text

LONGEST_TEXT: Final = 1_000
"""Characters of an exception's text that are stored."""
LONGEST_TRACEBACK: Final = 8_000
"""Characters of a traceback that are stored: its start, and its end with the error."""


def cause_of(problem: BaseException, conceal: Callable[[str], str] = str) -> Cause:
    """The exception in the form in which it is stored.

    If an `Error` was raised from another exception, that one is the cause.

    Args:
        problem: the exception that ended the attempt.
        conceal: removes secrets from a text.
    """
    cause = problem.__cause__ if isinstance(problem, Error) and problem.__cause__ is not None else problem
    return Cause(
        type=_storable(type(cause).__name__),
        text=_storable(conceal(safe_text(cause, LONGEST_TEXT))),
        traceback=_storable(conceal(format_traceback(problem, LONGEST_TRACEBACK))),
    )


def _storable(text: str) -> str:
    """Stores cannot encode half of a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode()
