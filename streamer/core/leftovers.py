"""What still runs of an attempt after its handler was cancelled: functions in threads, programs that do not die."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, Final

current_leftovers: Final[ContextVar[list[asyncio.Future[Any]] | None]] = ContextVar("streamer_leftovers", default=None)
"""A future for each piece of work that outlived its handler, done when that work has really ended. The list belongs to
the attempt that runs here; None where nobody waits for what is left, as for direct requests."""


def leave_running(ended: asyncio.Future[Any]) -> None:
    """Says that something of the current attempt goes on until that future is done, whatever becomes of its handler."""
    left = current_leftovers.get()
    if left is not None:
        left.append(ended)
