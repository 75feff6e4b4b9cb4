"""Waiting with a bound, and whose cancellation it was."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.foreign_code import task_is_cancelled
from streamer.engine.timeouts import wait_up_to
from streamer.testing import ManualClock
from streamer.testing.clock import settle


async def test_what_ends_in_time_is_said_to_have_ended():
    assert await wait_up_to(10, asyncio.sleep(0), ManualClock())


async def test_what_does_not_end_is_given_up_when_the_clock_says_so():
    clock = ManualClock()
    never = asyncio.Event()
    asked = asyncio.create_task(wait_up_to(10, never.wait(), clock))
    await clock.advance(9.9)
    assert not asked.done()
    await clock.advance(0.1)
    assert await asked is False
    assert clock.sleepers == 0


async def test_giving_up_the_wait_leaves_nothing_behind():
    clock = ManualClock()
    asked = asyncio.create_task(wait_up_to(10, asyncio.Event().wait(), clock))
    await settle()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await settle()
    assert clock.sleepers == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancellation_is_told_from_one_that_came_from_within():
    seen = []

    async def within():
        inner = asyncio.ensure_future(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(inner.cancel)
        try:
            await inner
        except asyncio.CancelledError:
            seen.append(task_is_cancelled())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(task_is_cancelled())

    task = asyncio.create_task(within())
    await settle()
    task.cancel()
    await task
    assert seen == [False, True]


def test_outside_of_a_task_nobody_is_task_is_cancelled():
    async def main():
        answered = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: answered.set_result(task_is_cancelled()))
        return await answered

    assert asyncio.run(main()) is False
