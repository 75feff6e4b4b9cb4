"""Callers that wait for a change, and calls that wait for their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streamer.core.clock import Clock


class Waiters:
    """Tasks that wait for the same thing. One that gives up disturbs no other."""

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self._futures)

    async def wait(self) -> None:
        """Returns, or raises, as `settle` says."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            await future
        finally:
            if future in self._futures:
                self._futures.remove(future)

    def settle(self, problem: Exception | None = None) -> None:
        """All of them go on, or raise the problem."""
        futures, self._futures = self._futures, []
        for future in futures:
            if future.done():
                continue
            if problem is None:
                future.set_result(None)
            else:
                future.set_exception(problem)

    def forget(self) -> None:
        """Their loop has ended, or is another process's."""
        self._futures = []


class Timers:
    """Calls after a delay, all of which can be stopped.

    Args:
        clock: where time comes from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, seconds: float, call: Callable[[], None]) -> None:
        """Calls after so many seconds, and never at once."""
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
        """Their loop has ended, or is another process's."""
        self._tasks.clear()

    async def _run(self, seconds: float, call: Callable[[], None]) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)
        # What is called may stop all timers, and this one is over.
        task = asyncio.current_task()
        assert task is not None
        self._tasks.discard(task)
        call()
