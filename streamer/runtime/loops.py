"""The event loop that services run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from streamer.runtime.loop_threads import LoopThreads

Ended = TypeVar("Ended")


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for a service, made this thread's own."""
    loop = (loop_factory() or asyncio.new_event_loop)()
    loop.set_default_executor(LoopThreads())
    asyncio.set_event_loop(loop)
    return loop


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Makes uvloop's loops where it is to be had; None stands for asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - not to be had on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def run_until_complete(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, Ended], logger: Any) -> Ended:
    """Runs the loop until the coroutine has ended, whatever other tasks raise.

    The loop stops for a SystemExit or KeyboardInterrupt of any task, also of one that a handler has started and that
    called `sys.exit`. That must not end the service for everybody, so the loop goes on.
    """
    task = loop.create_task(main)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as problem:
            if task.done():
                raise
            logger.error("a task of a handler tried to end the process", exc_info=problem)
