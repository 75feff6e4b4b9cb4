"""Context variables of the running request, which the tasks and threads that it starts inherit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from streamer.core.errors import INTERNAL_ERROR

current_request: Final[ContextVar[Any]] = ContextVar("streamer_current_request", default=None)
"""The `Request` of the current task or thread, for log lines; None outside of a request, and in handlers that are
answered without a task.
"""
current_leftovers: Final[ContextVar[list[asyncio.Future[Any]] | None]] = ContextVar("streamer_leftovers", default=None)
"""What still runs after the handler of the attempt was cancelled: functions in threads, and programs that have not
ended. A future for each, done when the work has ended. None where nothing waits for it, as for direct requests.
"""
_reasons: Final[ContextVar[tuple[Callable[[], str], ...]]] = ContextVar("streamer_interruption", default=())


def leave_running(ended: asyncio.Future[Any]) -> None:
    """Registers work of the current attempt that continues until that future is done, even if its handler has ended."""
    left = current_leftovers.get()
    if left is not None:
        left.append(ended)


def may_be_interrupted(reason: Callable[[], str]) -> None:
    """Registers a possible reason for cancelling the current task: a function that returns the reason, or an empty text
    while it has not cancelled.
    """
    _reasons.set((*_reasons.get(), reason))


def why_interrupted(otherwise: str) -> str:
    """The reason for a CancelledError: the outcome's code, or `released` and `lost` as in the history of a request.

    Args:
        otherwise: the reason when the current task was cancelled and no registered function knows why.

    Returns INTERNAL_ERROR for a CancelledError that the handler itself caused: that is what its client gets.
    """
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return INTERNAL_ERROR
    return next(filter(None, (reason() for reason in _reasons.get())), otherwise)
