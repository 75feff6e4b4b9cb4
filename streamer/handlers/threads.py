"""Threads for handlers that are plain functions."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from streamer.core.errors import INTERNAL_ERROR, Error
from streamer.core.foreign import describe

_cancelled: Final[contextvars.ContextVar[threading.Event | None]] = contextvars.ContextVar("cancelled", default=None)


def cancelled() -> bool:
    """Whether nobody waits any more for what this function does: timeout, shutdown, or the owner's wish.

    A thread cannot be stopped from outside. A function that runs long asks now and then and returns early; what it
    returns is dropped. False in a function that does not run in a thread of the pool.
    """
    event = _cancelled.get()
    return event is not None and event.is_set()


@dataclass(slots=True, eq=False)
class _Job:
    run: Callable[[], Any]
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    cancelled: threading.Event = field(default_factory=threading.Event)


class ThreadPool:
    """At most `size` threads, started as they are needed. A job beyond that waits for one, in the order of the calls.

    The threads are daemons: a function that never returns holds up its own slot, and not the end of the process.

    Args:
        size: how many functions may run at one time.
        name: what the threads are called in a debugger, with a number after it.
    """

    def __init__(self, size: int, *, name: str = "streamer-handler") -> None:
        self._size = size
        self._name = name
        self._work: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting: deque[_Job] = deque()
        self._threads: list[threading.Thread] = []
        self._running: set[_Job] = set()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many threads are at work, those whose caller has gone included."""
        return len(self._running)

    async def run(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        """What the function returns or raises, in a thread, under the caller's context variables.

        When the caller is cancelled it returns at once. A function that has not begun never will; one that has goes on,
        sees `cancelled()`, and keeps its slot until it really ends.

        Raises:
            Error: INTERNAL_ERROR, retryable, when the pool is closed.
        """
        if self._closed:
            raise _closing()
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        context = contextvars.copy_context()
        context.run(_cancelled.set, stop)
        job = _Job(lambda: context.run(function, *arguments, **options), loop.create_future(), loop, stop)
        self._waiting.append(job)
        self._start_next()
        try:
            return await job.done
        finally:
            stop.set()
            with contextlib.suppress(ValueError):
                self._waiting.remove(job)

    async def close(self) -> None:
        """Takes no more jobs, waits for those that run, and ends the threads. Cancel it to leave them behind."""
        self._closed = True
        try:
            await self._idle.wait()
        finally:
            while self._waiting:
                self._waiting.popleft().done.set_exception(_closing())
            for _ in self._threads:
                self._work.put(None)
            self._threads.clear()

    def _start_next(self) -> None:
        while self._waiting and len(self._running) < self._size:
            if len(self._running) == len(self._threads):
                name = f"{self._name}-{len(self._threads) + 1}"
                thread = threading.Thread(target=_serve, args=(self._work, self._ended), name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
            job = self._waiting.popleft()
            self._running.add(job)
            self._idle.clear()
            self._work.put(job)

    def _ended(self, job: _Job, value: Any, error: BaseException | None) -> None:
        """On the loop, when a thread has ended a job."""
        self._running.discard(job)
        if not job.done.done():
            if error is None:
                job.done.set_result(value)
            else:
                job.done.set_exception(error)
        self._start_next()
        if not self._running:
            self._idle.set()


def _serve(work: queue.SimpleQueue[_Job | None], ended: Callable[[_Job, Any, BaseException | None], None]) -> None:
    while (job := work.get()) is not None:
        value, error = None, None
        try:
            value = job.run()
        except BaseException as raised:  # noqa: BLE001 - it belongs to whoever waits, SystemExit included
            error = _deliverable(raised)
        # A loop that has closed has nobody who waits.
        with contextlib.suppress(RuntimeError):
            job.loop.call_soon_threadsafe(ended, job, value, error)
        # A thread that waits for its next job must not keep the last one's request alive.
        del job, value, error


def _deliverable(raised: BaseException) -> Exception:
    """SystemExit and KeyboardInterrupt would end the loop, and StopIteration cannot be set on a future."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    wrapped = RuntimeError(f"the handler's function raised {describe(raised)}")
    wrapped.__cause__ = raised
    return wrapped


def _closing() -> Error:
    return Error(INTERNAL_ERROR, "The service is shutting down", retryable=True)
