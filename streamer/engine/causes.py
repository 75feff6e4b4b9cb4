"""Why an attempt failed, shown to operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streamer.core.attempts import Cause
from streamer.core.errors import Error
from streamer.core.foreign_code import format_traceback, safe_text

LONGEST_TEXT: Final = 1_000
"""Characters of an exception's text that are stored."""
LONGEST_TRACEBACK: Final = 8_000
"""Characters of a traceback that are stored: its beginning, and its end, which says what happened."""


def cause_of(problem: BaseException, conceal: Callable[[str], str] = str) -> Cause:
    """What the exception says, as it is stored.

    An `Error` that was raised from another exception is the answer to that one, which is the cause.

    Args:
        problem: that ended the attempt.
        conceal: takes secrets out of a text.
    """
    cause = problem.__cause__ if isinstance(problem, Error) and problem.__cause__ is not None else problem
    return Cause(
        type=_storable(type(cause).__name__),
        text=_storable(conceal(safe_text(cause, LONGEST_TEXT))),
        traceback=_storable(conceal(format_traceback(problem, LONGEST_TRACEBACK))),
    )


def _storable(text: str) -> str:
    """Half of a surrogate pair is no text for a store."""
    return text.encode("utf-8", "backslashreplace").decode()
