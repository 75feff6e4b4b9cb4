"""An event loop in its own thread, for callers that block."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Final, TypeVar

T = TypeVar("T")
_END: Final = object()
_GRACE: Final = 1.0


class LoopThread:
    """Runs coroutines for callers in other threads, until it is stopped."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        # A daemon thread, so that a client that was not closed does not prevent the program's exit.
        self._thread = threading.Thread(target=self._loop.run_forever, name="streamer-client", daemon=True)
        self._thread.start()

    @property
    def gone(self) -> bool:
        """Whether it cannot run anything: it was started before a fork and runs only in the other process, or Python is
        shutting down, which stops it.
        """
        return self._process != os.getpid() or sys.is_finalizing()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Returns the coroutine's result. Interrupting the caller (Ctrl-C) cancels the coroutine.

        Raises:
            RuntimeError: it would never return: this is another process than the thread's, or the thread itself, or
                Python is shutting down.
        """
        if self._loop.is_closed():
            # All requests have ended with the connection; their outcomes can still be read.
            return _run_anywhere(work)
        future = self._begin(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def check(self) -> None:
        """Raises RuntimeError for a call that would never return."""
        if problem := self._problem():
            raise RuntimeError(problem)

    def _problem(self) -> str:
        if self._process != os.getpid():
            return (
                "This SyncStreamerClient was opened before a fork, and its connection stayed in the other process; "
                "create a new client in each process, after the fork"
            )
        if threading.current_thread() is self._thread:
            return (
                "A callback of this SyncStreamerClient uses the client in the connection's own thread, and would wait "
                "forever; use the client in another thread"
            )
        if sys.is_finalizing():
            return "This SyncStreamerClient is used while Python shuts down, which has stopped its connection's thread"
        return ""

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if problem := self._problem():
            work.close()
            raise RuntimeError(problem)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run_reporting(
        self, start: Callable[[Callable[[Any], None]], Coroutine[Any, Any, T]], report: Callable[[Any], Any]
    ) -> T:
        """As `run`, for a coroutine that reports: its reports are passed to `report` in the caller's thread, in order.

        Args:
            start: creates the coroutine, given the function that it reports to.
            report: called with each report. If it raises, the coroutine is cancelled and the exception is raised here.
        """
        reports: SimpleQueue[Any] = SimpleQueue()
        future = self._begin(start(reports.put))
        future.add_done_callback(lambda _: reports.put(_END))
        try:
            while (item := reports.get()) is not _END:
                report(item)
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """The items, each awaited when it is requested."""
        try:
            while (item := self.run(_next(items))) is not _END:
                yield item  # type: ignore[misc]  # the sentinel never comes this far
        finally:
            if not self.gone:
                self.run(_finish(items))

    def stop(self) -> None:
        """Gives remaining tasks a second to end, cancels the rest and ends the thread."""
        self.run(_settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _run_anywhere(work: Coroutine[Any, Any, T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    # The caller's thread runs a loop, as in notebooks.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class ThreadedFunction:
    """A plain function that may block, awaited on a loop while a separate thread runs it.

    Calls never overlap: a caller that arrives during a call waits for its result.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._task: asyncio.Task[Any] | None = None

    async def __call__(self) -> Any:
        """The function's result, awaited if it is awaitable."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._call())
        return await asyncio.shield(self._task)

    async def _call(self) -> Any:
        loop = asyncio.get_running_loop()
        returned: asyncio.Future[Any] = loop.create_future()

        def deliver(value: Any, problem: BaseException | None) -> None:
            if returned.done():
                return
            if problem is None:
                returned.set_result(value)
            else:
                returned.set_exception(problem)

        def run() -> None:
            value, problem = None, None
            try:
                value = self._function()
            except Exception as error:  # noqa: BLE001 - the function may raise what it likes
                problem = error
            except BaseException as error:  # noqa: BLE001 - in a loop such a one would end the loop
                problem = RuntimeError(f"{type(error).__name__}: {error}")
            if isinstance(problem, StopIteration):
                problem = RuntimeError("StopIteration")  # The future does not accept it.
            with contextlib.suppress(RuntimeError):  # The loop has ended meanwhile.
                loop.call_soon_threadsafe(deliver, value, problem)

        # A daemon thread: a call that never returns must not prevent the program's exit.
        threading.Thread(target=run, name="streamer-client-token", daemon=True).start()
        value = await returned
        return await value if inspect.isawaitable(value) else value


async def _next(items: AsyncGenerator[T, None]) -> T | object:
    return await anext(items, _END)


async def _finish(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()


async def _settle() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, left = await asyncio.wait(others, timeout=_GRACE)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
