"""An event loop in a thread of its own, for callers that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from queue import SimpleQueue
from typing import Any, Final, TypeVar

T = TypeVar("T")
_END: Final = object()
_GRACE: Final = 1.0


class LoopThread:
    """Runs coroutines for callers in other threads, until it is stopped."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a client that nobody closed does not hold up the end of the program.
        self._thread = threading.Thread(target=self._loop.run_forever, name="streamer-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Returns what the coroutine returns. An interrupted caller (Ctrl-C) cancels it."""
        if self._loop.is_closed():
            # All requests have ended with the connection; what they ended with can still be had.
            return asyncio.run(work)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def run_reporting(
        self, start: Callable[[Callable[[Any], None]], Coroutine[Any, Any, T]], report: Callable[[Any], Any]
    ) -> T:
        """As `run`, of a coroutine that reports: what it puts comes to `report` here, in the caller's thread, in order.

        Args:
            start: makes the coroutine, given the function that it reports to.
            report: called with each report. What it raises cancels the coroutine and comes out.
        """
        reports: SimpleQueue[Any] = SimpleQueue()
        future = asyncio.run_coroutine_threadsafe(start(reports.put), self._loop)
        future.add_done_callback(lambda _: reports.put(_END))
        try:
            while (item := reports.get()) is not _END:
                report(item)
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """The items, each awaited when it is asked for."""
        try:
            while (item := self.run(_next(items))) is not _END:
                yield item  # type: ignore[misc]  # the sentinel never comes this far
        finally:
            self.run(_finish(items))

    def stop(self) -> None:
        """Gives what is left a second to end, cancels the rest and ends the thread."""
        self.run(_settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


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
