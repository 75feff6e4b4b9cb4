"""Tasks that run next to the work that started them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks:
    """Keeps tasks from being collected before they have ended."""

    def __init__(self) -> None:
        self.running: set[asyncio.Future[Any]] = set()
        """Those that have not ended."""

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs the coroutine in a task of its own."""
        self.keep(asyncio.create_task(work))

    def keep(self, task: asyncio.Future[Any]) -> None:
        """The same for what runs already."""
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    def cancel(self) -> None:
        """Cancels all that run; `settle` waits for their ends."""
        for task in list(self.running):
            task.cancel()

    async def settle(self) -> None:
        """Returns when none runs any more."""
        while self.running:
            await asyncio.wait(set(self.running))
