"""Waits with a time limit, with a clock that tests can move."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final, TypeVar

from streamer.core.clock import Clock

Answer = TypeVar("Answer")

GRACE: Final = 0.1
"""Seconds for unfinished responses when an HTTP server ends. For aiohttp, 0 would mean forever."""


async def done_within(clock: Clock, seconds: float, task: asyncio.Future[Any]) -> bool:
    """Whether the task ended in that time. It is never cancelled here, not even when the caller is."""
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return task.done()


class Tasks:
    """Background tasks, kept until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        """Runs it in the background. It must handle its own errors unless the task is awaited."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self) -> None:
        """Waits for all of them."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Cancels all of them and waits for their end."""
        await stop_all(self._tasks)


async def stop_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels them and waits for their end; their results are ignored."""
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
