"""Handles exceptions of handlers, middleware and plugins: formats them safely, limits their length, and distinguishes
them from our own cancellation.

Such code may raise anything: Rust extensions raise a BaseException for each panic, `sys.exit` raises SystemExit, and
formatting an exception may raise again. The functions here never raise.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Final

LONGEST_TEXT: Final = 2_000
"""Maximum characters of an exception's text."""
LONGEST_TRACEBACK: Final = 32_000
"""Maximum characters of a traceback."""
_CUT: Final = "…"


def safe_text(value: object, longest: int = LONGEST_TEXT) -> str:
    """The text of a value, truncated; a placeholder when it cannot be formatted."""
    try:
        # A subclass of str may override slicing and formatting.
        text = str.__str__(str(value))
    except BaseException:  # noqa: BLE001 - the value's own code may raise anything
        return f"<the text of a {type(value).__name__} cannot be shown>"
    return text if len(text) <= longest else text[:longest] + _CUT


def safe_repr(value: object, longest: int = LONGEST_TEXT) -> str:
    """As `safe_text`, of the value's representation."""
    try:
        text = str.__str__(repr(value))
    except BaseException:  # noqa: BLE001 - as above
        return f"<a {type(value).__name__} that cannot be shown>"
    return text if len(text) <= longest else text[:longest] + _CUT


def describe(problem: BaseException, longest: int = LONGEST_TEXT) -> str:
    """Type and text of an exception, as in the last line of a traceback."""
    text = safe_text(problem, longest)
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


def one_line(problem: BaseException, longest: int = LONGEST_TEXT) -> str:
    """Type and text of an exception, without line breaks."""
    return " ".join(describe(problem, longest).split())


def format_traceback(problem: BaseException, longest: int = LONGEST_TRACEBACK) -> str:
    """The traceback with its causes, without the last line break, limited to about that many characters.

    A longer one keeps its start, with the caller, and its end, with the error.
    """
    try:
        parts = [part if len(part) <= longest else part[:LONGEST_TEXT] + _CUT for part in _parts(problem)]
        text = "".join(parts).rstrip("\n")
    except BaseException:  # noqa: BLE001 - an exception may override what a traceback is made of
        return describe(problem)
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n  {_CUT}\n{text[-half:]}"


def _parts(problem: BaseException) -> list[str]:
    return list(traceback.TracebackException(type(problem), problem, problem.__traceback__, compact=True).format())


def notes_of(problem: BaseException) -> list[str]:
    """What `add_note` was given. Libraries may put anything in its place: what is no list counts for nothing."""
    found = vars(problem).get("__notes__", ())
    return [safe_text(note) for note in found] if isinstance(found, list | tuple) else []


def task_is_cancelled() -> bool:
    """Whether the CancelledError that is being handled was meant for the current task.

    If not, foreign code raised it, because something inside it was cancelled.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_our_own(problem: BaseException) -> bool:
    """Whether the exception that is being handled ends the task itself, and is no error of foreign code."""
    return is_being_closed(problem) or (isinstance(problem, asyncio.CancelledError) and task_is_cancelled())


def is_being_closed(problem: BaseException) -> bool:
    """Whether this is the GeneratorExit that closes an unfinished coroutine, which must not await anything more.

    Foreign code can raise GeneratorExit too, but only inside a running task; a coroutine is closed outside of any.
    """
    if not isinstance(problem, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is None
    except RuntimeError:
        return True
