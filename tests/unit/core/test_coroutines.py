from __future__ import annotations

import asyncio

import pytest

from streamer.core.coroutines import EnterTask, Resumed


async def test_the_rest_of_a_coroutine_is_awaited_in_a_task():
    ready = asyncio.get_running_loop().create_future()

    async def work():
        first = await ready
        await asyncio.sleep(0)
        return first, asyncio.current_task()

    coroutine = work()
    waits_for = coroutine.send(None)
    ready.set_result("answer")
    task = asyncio.ensure_future(_await(Resumed(coroutine, waits_for)))
    assert await task == ("answer", task)


async def test_what_the_coroutine_awaits_may_fail_and_the_coroutine_hears_it():
    ready = asyncio.get_running_loop().create_future()

    async def work():
        try:
            await ready
        except KeyError:
            return "caught"

    coroutine = work()
    rest = Resumed(coroutine, coroutine.send(None))
    ready.set_exception(KeyError("x"))
    assert await rest == "caught"


async def test_what_the_coroutine_raises_comes_out():
    async def work():
        await asyncio.sleep(0)
        raise KeyError("x")

    coroutine = work()
    with pytest.raises(KeyError):
        await Resumed(coroutine, coroutine.send(None))


async def test_a_cancellation_belongs_to_the_coroutine():
    seen = []

    async def work():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("tidied up")
            raise

    coroutine = work()
    task = asyncio.ensure_future(_await(Resumed(coroutine, coroutine.send(None))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled", "tidied up"]


async def test_whoever_must_be_in_a_task_suspends_once_and_is():
    async def work():
        await EnterTask()
        async with asyncio.timeout(90):
            await asyncio.sleep(0)
        return "in a task"

    coroutine = work()
    waits_for = coroutine.send(None)
    assert waits_for is None
    assert await Resumed(coroutine, waits_for) == "in a task"


async def _await(awaitable):
    return await awaitable
