"""What still runs after the handler of an attempt was cancelled: functions in threads, and programs that have not
ended.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, Final

current_leftovers: Final[ContextVar[list[asyncio.Future[Any]] | None]] = ContextVar("streamer_leftovers", default=None)
"""A future for each piece of work that outlived its handler, done when the work has ended. The list belongs to the
current attempt; None where nothing waits for the rest, as for direct requests.
"""


def leave_running(ended: asyncio.Future[Any]) -> None:
    """Registers work of the current attempt that continues until that future is done, even if its handler has ended."""
    left = current_leftovers.get()
    if left is not None:
        left.append(ended)
