"""`seq` rises with every message of a request, over attempts, take-overs, new starts of the service and operators."""

from __future__ import annotations

import asyncio
import itertools

from streamer.core.errors import Error
from streamer.core.records import SEQ_STRIDE
from streamer.engine.attempt_states import StopReason

KEY = ("client:one", "r")


def numbers(*peers):
    return [message["seq"] for peer in peers for message in peer.of("r")]


def rises(found):
    return all(before < after for before, after in itertools.pairwise(found))


async def ask(house, peer, action="work"):
    house.send(peer, action=action, id="r")
    await house.settle()


async def test_over_attempts(house):
    async def work(request):
        request.progress.report(10, f"attempt {request.attempt}")
        if request.attempt < 3:
            raise Error("MINE", "again", retryable=True)
        return "done"

    house.declare("work", work, mode="async")
    peer = house.peer()
    await house.start()
    await ask(house, peer)
    for _ in range(20):
        await house.clock.advance(1)
    assert peer.kinds("r") == ["acknowledgment", "progress", "progress", "progress", "complete"]
    assert rises(numbers(peer))
    assert numbers(peer)[0] == 0
    assert [seq // SEQ_STRIDE for seq in numbers(peer)] == [0, 0, 1, 2, 2]
    assert (await house.store.get(KEY)).seq == numbers(peer)[-1]


async def test_over_a_take_over_by_another_worker_and_the_first_one_is_heard_no_more(make_house):
    one = make_house(name="one")
    gate = asyncio.Event()
    reporters = []

    async def work(request):
        reporters.append(request.progress)
        request.progress.report(10 * request.attempt)
        if request.attempt == 1:
            await asyncio.Event().wait()
        await gate.wait()
        return "done"

    one.declare("work", work, mode="async")
    peer = one.peer()
    await ask(one, peer)
    await one.worker.step()
    await one.settle()
    async with one.worker.attending():
        await one.settle()

    # The first worker's process stalls: its lease runs out, and another one, which shares the store, takes over.
    two = make_house(name="two")
    two.clock, two.store, two.connections, two.delivery = one.clock, one.store, one.connections, one.delivery
    two.declare("work", work, mode="async")
    await one.clock.advance(31)
    await two.start()
    reporters[0].report(99, "from the one that was taken over")
    await one.settle()
    gate.set()
    await one.settle()
    assert await one.store.get(KEY) is not None
    # It renews what it still has: that is how it learns of its loss.
    async with one.worker.attending():
        await one.settle()
        await one.clock.advance(10)
        await one.settle()
    assert one.worker.running == {}
    assert peer.kinds("r").count("complete") == 1
    assert peer.kinds("r")[-1] == "complete"
    assert rises(numbers(peer))
    record = await one.store.get(KEY)
    assert (record.worker, record.attempts, record.fence, record.status) == ("two", 2, 2, "COMPLETED")
    await one.stop()
    await two.stop()


async def test_over_a_drain_and_the_next_start(house):
    async def work(request):
        request.progress.report(10)
        await asyncio.Event().wait()

    house.declare("work", work, mode="async")
    peer = house.peer()
    await house.start()
    await ask(house, peer)
    (job,) = house.worker.running.values()
    job.stop(StopReason.RELEASE)
    await house.settle()
    await house.clock.advance(2)
    assert peer.kinds("r") == ["acknowledgment", "progress", "progress"]
    assert rises(numbers(peer))
    assert (await house.store.get(KEY)).attempts == 1


async def test_over_a_cancellation_and_an_operators_second_try(house):
    async def work(request):
        request.progress.report(10)
        if (await house.store.get(KEY)).fence == 1:
            await asyncio.Event().wait()
        return "done"

    house.declare("work", work, mode="async")
    first, second = house.peer(), house.peer("c2")
    await house.start()
    await ask(house, first)
    await house.store.cancel(KEY)
    await house.clock.advance(10)
    assert first.kinds("r") == ["acknowledgment", "progress", "error"]
    await house.store.requeue(KEY)
    house.worker.wake()
    await ask(house, second)
    await house.clock.advance(1)
    assert second.kinds("r")[-1] == "complete"
    assert rises(numbers(first) + [seq for seq in numbers(second) if seq])
    assert rises(numbers(second))


async def test_each_connection_that_follows_gets_one_terminal_message_and_nothing_after_it(house):
    gate = asyncio.Event()
    reporters = []

    async def work(request):
        reporters.append(request.progress)
        await gate.wait()

    house.declare("work", work, mode="async")
    peers = [house.peer(f"c{number}") for number in range(3)]
    await house.start()
    for peer in peers:
        await ask(house, peer)
        await ask(house, peer)
    gate.set()
    await house.settle()
    reporters[0].report(50, "too late")
    await house.clock.advance(5)
    assert [peer.kinds("r") for peer in peers] == [["acknowledgment", "acknowledgment", "complete"]] * 3
