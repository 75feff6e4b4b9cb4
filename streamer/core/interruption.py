"""Why a handler is being cancelled: to the handler all reasons look the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from streamer.core.errors import INTERNAL_ERROR

_reasons: Final[ContextVar[tuple[Callable[[], str], ...]]] = ContextVar("streamer_interruption", default=())


def may_be_interrupted(reason: Callable[[], str]) -> None:
    """Adds something that may cancel the current task. It says why it did, or an empty text while it has not."""
    _reasons.set((*_reasons.get(), reason))


def why_interrupted(otherwise: str) -> str:
    """Why a CancelledError came: the outcome's code, or `released` and `lost` as in the history of a request.

    Args:
        otherwise: when the current task was cancelled and nothing says why.

    Returns INTERNAL_ERROR for a CancelledError that the handler itself let through: that is what its client gets.
    """
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return INTERNAL_ERROR
    return next(filter(None, (reason() for reason in _reasons.get())), otherwise)
