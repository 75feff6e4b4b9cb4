"""Background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks:
    """Keeps references to tasks until they have ended."""

    def __init__(self) -> None:
        self.running: set[asyncio.Future[Any]] = set()
        """Tasks that have not ended."""

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs the coroutine in a new task."""
        self.keep(asyncio.create_task(work))

    def keep(self, task: asyncio.Future[Any]) -> None:
        """Adds a running task."""
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    def cancel(self) -> None:
        """Cancels all running tasks; `settle` waits for their end."""
        for task in list(self.running):
            task.cancel()

    async def settle(self) -> None:
        """Returns when no task is running."""
        while self.running:
            await asyncio.wait(set(self.running))
