from __future__ import annotations

import asyncio

from streamer.testing import ManualClock


async def test_it_stands_still_until_it_is_moved():
    clock = ManualClock(now=100.0)
    began = clock.monotonic()
    await asyncio.sleep(0)
    assert (clock.now(), clock.monotonic()) == (100.0, began)
    await clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (102.5, began + 2.5)


async def test_sleepers_wake_in_the_order_of_their_times_and_see_their_own_time():
    clock = ManualClock(now=0.0)
    seen = []

    async def sleep(name, seconds):
        await clock.sleep(seconds)
        seen.append((name, clock.now()))

    tasks = [asyncio.ensure_future(sleep(*one)) for one in (("c", 3), ("a", 1), ("b", 1), ("late", 10))]
    await clock.advance(5)
    assert seen == [("a", 1.0), ("b", 1.0), ("c", 3.0)]
    assert (clock.now(), clock.sleepers) == (5.0, 1)
    await clock.advance(5)
    assert seen[-1] == ("late", 10.0)
    await asyncio.gather(*tasks)


async def test_whoever_was_woken_may_sleep_again_within_the_same_move():
    clock = ManualClock(now=0.0)
    ticks = []

    async def tick():
        while True:
            await clock.sleep(1)
            ticks.append(clock.now())

    task = asyncio.ensure_future(tick())
    await clock.advance(3)
    assert ticks == [1.0, 2.0, 3.0]
    task.cancel()


async def test_a_sleeper_that_was_cancelled_is_passed_over():
    clock = ManualClock()
    impatient = asyncio.ensure_future(clock.sleep(1))
    patient = asyncio.ensure_future(clock.sleep(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    assert clock.sleepers == 1
    await clock.advance(2)
    assert patient.done()
    assert clock.sleepers == 0


async def test_no_time_at_all_gives_way_to_others():
    clock = ManualClock()
    ran = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    await clock.sleep(0)
    assert ran == [1]
    await clock.sleep(-1)


async def test_the_wall_clock_alone_may_jump_and_wakes_nobody():
    clock = ManualClock(now=1000.0)
    sleeper = asyncio.ensure_future(clock.sleep(5))
    await asyncio.sleep(0)
    began = clock.monotonic()
    clock.jump(-900)
    assert (clock.now(), clock.monotonic()) == (100.0, began)
    await clock.advance(4)
    assert not sleeper.done()
    await clock.advance(1)
    assert sleeper.done()
    assert clock.now() == 105.0
