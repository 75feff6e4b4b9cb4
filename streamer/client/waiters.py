"""Callers that wait for a change, and delayed calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streamer.core.clock import Clock


class Waiters:
    """Tasks that wait for the same event. Cancelling one does not affect the others."""

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self._futures)

    async def wait(self) -> None:
        """Returns, or raises, as `settle` decides."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            await future
        finally:
            if future in self._futures:
                self._futures.remove(future)

    def settle(self, problem: Exception | None = None) -> None:
        """All of them continue, or raise the problem."""
        futures, self._futures = self._futures, []
        for future in futures:
            if future.done():
                continue
            if problem is None:
                future.set_result(None)
            else:
                future.set_exception(problem)

    def forget(self) -> None:
        """Their loop has ended, or belongs to another process."""
        self._futures = []


class Timers:
    """Delayed calls, all of which can be stopped.

    Args:
        clock: the source of time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, seconds: float, call: Callable[[], None]) -> None:
        """Calls after this many seconds, and never immediately."""
        task = asyncio.get_running_loop().create_task(self._run(seconds, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> list[asyncio.Task[None]]:
        """Stops all; returns the tasks, which end within moments."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        self._tasks.clear()
        return tasks

    def forget(self) -> None:
        """Their loop has ended, or belongs to another process."""
        self._tasks.clear()

    async def _run(self, seconds: float, call: Callable[[], None]) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)
        # The called function may stop all timers, and this one is done.
        task = asyncio.current_task()
        assert task is not None
        self._tasks.discard(task)
        call()
