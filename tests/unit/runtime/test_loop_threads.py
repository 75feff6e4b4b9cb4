"""What `asyncio.to_thread` runs belongs to the attempt that started it, as long as it runs."""

from __future__ import annotations

import asyncio
import threading

import pytest

from streamer.core.leftovers import current_leftovers
from streamer.runtime.loop_threads import LoopThreads
from streamer.runtime.loops import new_loop


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
