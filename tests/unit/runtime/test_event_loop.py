"""A service's loop goes on whatever handlers' tasks raise, and what `asyncio.to_thread` runs belongs to its attempt."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from typing import Any

import pytest

from streamer.core.context import current_leftovers
from streamer.runtime import event_loop
from streamer.runtime.event_loop import LoopThreads, close_loop, loop_factory, new_loop, run_until_complete
from streamer.testing import RecordingLogger
from streamer.testing.clock import settle


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request):
    factory = asyncio.new_event_loop if request.param == "asyncio" else loop_factory()
    loop = factory()
    yield loop
    loop.close()


@pytest.mark.parametrize("problem", [SystemExit(3), KeyboardInterrupt()], ids=["SystemExit", "KeyboardInterrupt"])
def test_a_task_that_tries_to_end_the_process_ends_itself_alone(loop, problem):
    async def leave():
        raise problem

    async def main():
        task = asyncio.ensure_future(leave())
        await asyncio.wait([task])
        await asyncio.sleep(0)
        return task.exception()

    logger = RecordingLogger()
    assert run_until_complete(loop, main(), logger) is problem
    ((level, event, context),) = logger.lines
    assert (level, event, context) == (
        "error", "a task of a handler tried to end the process", {"exc_info": problem},
    )  # fmt: skip


def test_what_the_service_itself_raises_ends_it_and_is_not_logged_as_lost(loop, caplog):
    async def main():
        sys.exit(3)

    logger = RecordingLogger()
    with pytest.raises(SystemExit):
        run_until_complete(loop, main(), logger)
    assert logger.lines == []
    gc.collect()
    assert caplog.records == []


def test_a_platform_without_uvloop_gets_pythons_own_loop(monkeypatch):
    assert loop_factory() is not None
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is None


def test_a_handler_that_swallows_its_cancellation_does_not_keep_the_process_alive(monkeypatch):
    monkeypatch.setattr(event_loop, "CLOSE_GRACE", 0.01)
    loop = asyncio.new_event_loop()
    cancelled = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append("once more")

    async def begin() -> Any:
        task = asyncio.create_task(stubborn())
        await settle()
        return task

    left = loop.run_until_complete(begin())
    close_loop(loop)
    assert loop.is_closed()
    assert cancelled == ["once more"]
    assert not left.done()
    # What the process's end does away with.
    left._log_destroy_pending = False


@pytest.fixture
def threads():
    threads = LoopThreads()
    yield threads
    threads.shutdown()


async def cancelled(work):
    work.cancel()
    await asyncio.wait({work})


async def begun(function):
    """A task that waits for the function, which has begun in a thread."""
    running = threading.Event()

    def run():
        running.set()
        return function()

    task = asyncio.create_task(asyncio.to_thread(run))
    await asyncio.sleep(0)
    assert running.wait(10)
    return task


async def test_a_function_that_outlives_its_handler_is_left_over_until_it_has_ended(threads):
    asyncio.get_running_loop().set_default_executor(threads)
    left = []
    current_leftovers.set(left)
    go = threading.Event()
    await cancelled(await begun(lambda: go.wait(10)))
    assert [ended.done() for ended in left] == [False]
    go.set()
    await asyncio.wait_for(left[0], 10)


async def test_one_that_is_waited_for_or_never_begins_leaves_nothing(threads):
    asyncio.get_running_loop().set_default_executor(threads)
    left = []
    current_leftovers.set(left)
    assert await (await begun(lambda: 5)) == 5
    go = threading.Event()
    holding = [await begun(lambda: go.wait(10)) for _ in range(threads._max_workers)]
    behind = asyncio.create_task(asyncio.to_thread(go.wait))
    await asyncio.sleep(0)
    await cancelled(behind)
    assert left == []
    go.set()
    await asyncio.gather(*holding)


async def test_outside_of_an_attempt_nothing_is_kept(threads):
    asyncio.get_running_loop().set_default_executor(threads)
    go = threading.Event()
    task = await begun(lambda: go.wait(10))
    await cancelled(task)
    go.set()


def test_a_function_that_ends_after_its_loop_says_so_to_nobody():
    loop = new_loop()
    go, done = threading.Event(), threading.Event()

    async def main():
        current_leftovers.set([])
        await cancelled(await begun(lambda: go.wait(10) and done.set()))

    threads = loop._default_executor if hasattr(loop, "_default_executor") else None
    loop.run_until_complete(main())
    loop.close()
    asyncio.set_event_loop(None)
    go.set()
    assert done.wait(10)
    if threads is not None:
        threads.shutdown()
