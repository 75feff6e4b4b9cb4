"""The threads of `asyncio.to_thread` and `run_in_executor(None, …)`, which async handlers use."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from streamer.core.leftovers import current_leftovers


class LoopThreads(ThreadPoolExecutor):
    """A function that goes on after its handler was cancelled counts as part of the attempt until it has ended, as a
    plain function of ours does: `concurrency` stays true, and no request runs twice at one time.
    """

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="streamer-to-thread")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Part of `Executor`."""
        future = super().submit(fn, *args, **kwargs)
        left = current_leftovers.get()
        if left is not None:
            # Called when the handler no longer waits for it. One that nobody ever waited for is not the attempt's.
            future.cancel = functools.partial(_cancel, future, left)  # type: ignore[method-assign]
        return future


def _cancel(future: Future[Any], left: list[asyncio.Future[Any]]) -> bool:
    cancelled = Future.cancel(future)
    if not cancelled and not future.done():
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        left.append(ended)
        future.add_done_callback(lambda _: _tell(loop, ended))
    return cancelled


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[Any]) -> None:
    # A loop that has closed has nobody who waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set_result, None)
