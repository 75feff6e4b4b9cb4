"""Why a handler is being cancelled. The handler itself cannot distinguish the reasons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from streamer.core.errors import INTERNAL_ERROR

_reasons: Final[ContextVar[tuple[Callable[[], str], ...]]] = ContextVar("streamer_interruption", default=())


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
