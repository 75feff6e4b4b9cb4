"""Threads for handlers that are plain functions."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from streamer.core.context import current_request, leave_running
from streamer.core.errors import INTERNAL_ERROR, Error
from streamer.core.foreign_code import describe
from streamer.handlers.fair_queue import FairQueue, current_owner

_cancelled: Final[contextvars.ContextVar[threading.Event | None]] = contextvars.ContextVar("cancelled", default=None)


def cancelled() -> bool:
    """Whether the result of this function is no longer needed: after a timeout, at shutdown, or when the request was
    cancelled.

    A thread cannot be stopped from outside. A long-running function should call this now and then and return early; its
    result is dropped. Always False in a function that does not run in a thread of the pool.
    """
    event = _cancelled.get()
    return event is not None and event.is_set()


@dataclass(slots=True, eq=False)
class _Job:
    run: Callable[[], Any]
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    cancelled: threading.Event = field(default_factory=threading.Event)
    ended: asyncio.Future[None] | None = None
    """Set once its caller has gone while it runs; done when the function has returned."""


class ThreadPool:
    """At most `size` threads, started when needed. Further jobs wait: owners of requests take turns.

    The threads are daemons: a function that never returns blocks its own slot, and not the end of the process.

    Args:
        size: how many functions may run at one time.
        name: the prefix of the threads' names, in a debugger.
        logger: gets how many functions outlived their callers.
    """

    def __init__(self, size: int, *, name: str = "streamer-handler", logger: Any = None) -> None:
        self.left_over = 0
        """How many functions still run after their callers have gone."""
        self._logged = 0
        self._logger = logger
        self._size = size
        self._name = name
        self._work: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting: FairQueue[_Job] = FairQueue()
        self._threads: list[threading.Thread] = []
        self._running: set[_Job] = set()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many threads are busy, including those whose caller has gone."""
        return len(self._running)

    async def run(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        """The function's result or exception, in a thread, with the caller's context variables.

        If the caller is cancelled, this returns immediately. A function that has not started never will; a started one
        continues, sees `cancelled()`, and occupies its thread until it returns; the current attempt registers that it
        is still running.

        Raises:
            Error: INTERNAL_ERROR, retryable, when the pool is closed or the system cannot start a thread.
        """
        if self._closed:
            raise _closing()
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        context = contextvars.copy_context()
        context.run(_cancelled.set, stop)
        job = _Job(lambda: context.run(function, *arguments, **options), loop.create_future(), loop, stop)
        owner = current_owner()
        self._waiting.push(owner, job)
        self._start_next()
        try:
            return await job.done
        finally:
            stop.set()
            if job in self._running:
                self._leave(job)
            else:
                self._waiting.discard(owner, job)

    async def close(self) -> None:
        """Accepts no more jobs, waits for those that run, and ends the threads. Cancel it to leave them running."""
        self._closed = True
        try:
            await self._idle.wait()
        finally:
            while self._waiting:
                job = self._waiting.pop()
                if not job.done.done():
                    job.done.set_exception(_closing())
            for _ in self._threads:
                self._work.put(None)
            self._threads.clear()

    def _start_next(self) -> None:
        while self._waiting and len(self._running) < self._size:
            problem = self._add_thread() if len(self._running) == len(self._threads) else None
            if problem is not None and self._threads:
                # The job waits for one of the existing threads.
                return
            job = self._waiting.pop()
            if job.done.done():
                continue
            if problem is not None:
                job.done.set_exception(_no_thread(problem))
                continue
            self._running.add(job)
            self._idle.clear()
            self._work.put(job)

    def _add_thread(self) -> Exception | None:
        """Starts a thread. Returns why the system refused."""
        name = f"{self._name}-{len(self._threads) + 1}"
        thread = threading.Thread(target=_serve, args=(self._work, self._ended), name=name, daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as problem:
            return problem
        self._threads.append(thread)
        return None

    def _leave(self, job: _Job) -> None:
        """The caller has gone, and its function continues."""
        job.ended = job.loop.create_future()
        leave_running(job.ended)
        self.left_over += 1
        # Logged once for each doubling: many requests that are cancelled together need only few lines.
        if self._logger is not None and self.left_over >= 2 * self._logged:
            self._logged = self.left_over
            request = current_request.get()
            about = {} if request is None else {"request_id": request.id, "action": request.action}
            self._logger.warning(
                "a function still runs after its request has ended; it keeps its thread until it returns",
                still_running=self.left_over, threads=self._size, **about,
            )  # fmt: skip

    def _ended(self, job: _Job, value: Any, error: BaseException | None) -> None:
        """Called on the loop, when a thread has finished a job."""
        self._running.discard(job)
        if job.ended is not None:
            self._left_ended(job.ended)
        if not job.done.done():
            if error is None:
                job.done.set_result(value)
            else:
                job.done.set_exception(error)
        self._start_next()
        if not self._running:
            self._idle.set()

    def _left_ended(self, ended: asyncio.Future[None]) -> None:
        ended.set_result(None)
        self.left_over -= 1
        if not self.left_over and self._logged:
            self._logged = 0
            if self._logger is not None:
                self._logger.info("all functions that outlived their requests have ended")


def _serve(work: queue.SimpleQueue[_Job | None], ended: Callable[[_Job, Any, BaseException | None], None]) -> None:
    while (job := work.get()) is not None:
        value, error = None, None
        try:
            # A job that was cancelled on its way to this thread never starts.
            value = None if job.cancelled.is_set() else job.run()
        except BaseException as raised:  # noqa: BLE001 - it belongs to the caller, SystemExit included
            error = _deliverable(raised)
        # A closed loop has no callers.
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


def _no_thread(problem: Exception) -> Error:
    error = Error(INTERNAL_ERROR, "The request could not be completed", retryable=True)
    error.add_note(f"no thread could be started for a function: {problem}")
    return error
