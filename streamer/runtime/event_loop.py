"""The event loop of services, including the threads of `asyncio.to_thread` and `run_in_executor(None, …)`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from streamer.core.context import current_leftovers

CLOSE_GRACE: Final = 1.0
"""Seconds that tasks which the drain could not stop get at the end."""

Ended = TypeVar("Ended")


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for a service, set as this thread's loop."""
    loop = (loop_factory() or asyncio.new_event_loop)()
    loop.set_default_executor(LoopThreads())
    asyncio.set_event_loop(loop)
    return loop


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Creates uvloop's loops if it is installed; None means asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - not available on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def run_until_complete(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, Ended], logger: Any) -> Ended:
    """Runs the loop until the coroutine has ended, whatever other tasks raise.

    The loop stops when any task raises SystemExit or KeyboardInterrupt, also a task that a handler has started and that
    called `sys.exit`. This must not end the service, so the loop continues.
    """
    task = loop.create_task(main)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as problem:
            if task.done():
                # It is raised here, so asyncio need not log at the end that nobody has asked for it.
                if not task.cancelled():
                    task.exception()
                raise
            logger.error("a task of a handler tried to end the process", exc_info=problem)


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancels remaining tasks and closes the loop, even if some cannot be cancelled.

    Functions in the loop's threads are not waited for: they cannot be stopped, and end with the process.
    """
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=CLOSE_GRACE))
    # A generator of a handler may wait for anything when it is closed.
    closing = loop.create_task(loop.shutdown_asyncgens())
    loop.run_until_complete(asyncio.wait({closing}, timeout=CLOSE_GRACE))
    # The drain has logged the handlers that do not stop; their unfinished tasks need no further lines.
    loop.set_exception_handler(lambda _loop, _context: None)
    asyncio.set_event_loop(None)
    loop.close()


class LoopThreads(ThreadPoolExecutor):
    """A function that continues after its handler was cancelled counts as part of the attempt until it has ended, like
    a plain function handler: `concurrency` remains correct, and no request runs twice at the same time.
    """

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="streamer-to-thread")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        left = current_leftovers.get()
        if left is not None:
            # Called when the handler stops waiting for it. A function that it never waited for is not part of the
            # attempt.
            future.cancel = functools.partial(_cancel, future, left)  # type: ignore[method-assign]
        return future


def _cancel(future: Future[Any], left: list[asyncio.Future[Any]]) -> bool:
    cancelled = Future.cancel(future)
    if not cancelled and not future.done():
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        left.append(ended)
        future.add_done_callback(lambda _: _set_ended(loop, ended))
    return cancelled


def _set_ended(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[Any]) -> None:
    # On a closed loop nothing waits for it.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set_result, None)
