"""A function that outlives its timeout or its cancellation keeps its slot, and no request runs twice at one time."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.context import leave_running
from streamer.engine.attempt_states import StopReason
from streamer.engine.routes import RetryPolicy
from streamer.engine.slots import Slots
from streamer.engine.timeouts import STOP_GRACE

TIMEOUT = 0.01


class Outliving:
    """Like a plain function in a thread: its caller is cancelled at once, and it goes on until `end`."""

    def __init__(self):
        self.running = []
        self.begun = []
        self.most = 0
        self._ends = {}
        self.left = asyncio.Event()

    async def __call__(self, request):
        name = f"{request.id}/{request.attempt}"
        ended = self._ends[name] = asyncio.get_running_loop().create_future()
        ended.add_done_callback(lambda _: self.running.remove(name))
        self.running.append(name)
        self.begun.append(name)
        self.most = max(self.most, len(self.running))
        try:
            return await asyncio.shield(ended)
        finally:
            if not ended.done():
                leave_running(ended)
                self.left.set()

    async def until_left(self):
        await self.left.wait()
        self.left.clear()

    def end(self, name):
        self._ends[name].set_result(None)


@pytest.fixture
def work():
    return Outliving()


@pytest.fixture
def queued(house, work):
    """`await queued("a", "b", **route)`: a peer that has queued them at a worker that runs."""

    async def begin(*ids, **route):
        house.declare("one", work, mode="async", **route)
        peer = house.peer()
        for request_id in ids:
            house.send(peer, action="one", id=request_id)
            await house.settle()
        await house.start()
        return peer

    return begin


async def until_next(house):
    """The worker has looked at the queue again."""
    await house.clock.advance(5)


RETRY = RetryPolicy(max_attempts=2, initial=0.1, factor=1, jitter=0)
ONCE = RetryPolicy(max_attempts=1)


async def test_a_retry_waits_until_the_function_that_timed_out_has_ended(house, work, queued):
    await queued("r", timeout=TIMEOUT, retry=RETRY)
    await work.until_left()
    await until_next(house)
    await house.clock.advance(100)
    assert work.begun == ["r/1"]
    assert (await house.store.get(("client:one", "r"))).status == "PROCESSING"
    work.end("r/1")
    await until_next(house)
    assert work.begun == ["r/1", "r/2"]
    assert work.most == 1


async def test_a_last_timeout_is_sent_at_once_and_the_slot_stays_occupied(house, work, queued):
    peer = await queued("a", "b", timeout=TIMEOUT, retry=ONCE, concurrency=1)
    await work.until_left()
    await until_next(house)
    assert peer.of("a")[-1]["error"]["code"] == "TIMEOUT"
    assert work.begun == ["a/1"]
    assert house.worker.slots.free() == 63
    work.end("a/1")
    await house.settle()
    assert work.begun == ["a/1", "b/1"]
    assert house.worker.slots.free() == 63


async def test_a_cancelled_request_is_answered_at_once_and_keeps_its_slot(house, work, queued):
    peer = await queued("a", "b", concurrency=1)
    house.send(peer, action="streamer.cancel", id="c", payload={"request_id": "a"})
    await work.until_left()
    await until_next(house)
    assert peer.of("a")[-1]["error"]["code"] == "CANCELLED"
    assert work.begun == ["a/1"]
    work.end("a/1")
    await house.settle()
    assert work.begun == ["a/1", "b/1"]


async def test_a_request_that_an_operator_queues_again_waits_for_its_first_run(house, work, queued):
    peer = await queued("a")
    house.send(peer, action="streamer.cancel", id="c", payload={"request_id": "a"})
    await work.until_left()
    for _ in range(2):
        # The second time it is cancelled while it waits: the first run still counts.
        await house.store.requeue(("client:one", "a"))
        await until_next(house)
        assert work.begun == ["a/1"]
        house.send(peer, action="streamer.cancel", id="c", payload={"request_id": "a"})
        await house.settle()
        assert house.worker.running == {}
    await house.store.requeue(("client:one", "a"))
    await until_next(house)
    work.end("a/1")
    await house.settle()
    assert work.begun == ["a/1", "a/1"]
    assert work.most == 1


async def test_a_claim_that_was_lost_and_taken_again_by_the_same_worker_waits(house, work, queued):
    await queued("a")
    (job,) = house.worker.running.values()
    lost = await house.store.get(("client:one", "a"))
    # The loop stood still for longer than a lease, and the record is claimed anew under it.
    house.worker.slots.running.clear()
    house.clock.jump(1000)
    job.stop(StopReason.LOST)
    await work.until_left()
    await until_next(house)
    assert (await house.store.get(lost.key)).attempts == 2
    assert work.begun == ["a/1"]
    work.end("a/1")
    await house.settle()
    assert work.begun == ["a/1", "a/2"]
    assert work.most == 1


async def test_the_worker_as_a_whole_never_runs_more_than_its_concurrency(make_house, work):
    house = make_house(concurrency=2)
    house.declare("one", work, mode="async", timeout=TIMEOUT, retry=ONCE)
    peer = house.peer()
    for number in range(4):
        house.send(peer, action="one", id=f"r{number}")
        await house.settle()
    await house.start()
    await work.until_left()
    await until_next(house)
    await house.clock.advance(100)
    assert len(work.begun) == 2
    for name in list(work.running):
        work.end(name)
    await until_next(house)
    assert len(work.begun) == 4
    assert work.most == 2
    await house.stop()


async def test_a_drain_gives_a_request_back_once_its_function_has_ended(house, work, queued):
    await queued("a")
    house.worker.pause()
    draining = asyncio.create_task(house.worker.drain(1))
    await house.clock.advance(1)
    assert (await house.store.get(("client:one", "a"))).status == "PROCESSING"
    work.end("a/1")
    assert await draining == 1
    assert (await house.store.get(("client:one", "a"))).status == "PENDING"


async def test_a_function_that_does_not_end_is_given_back_at_the_very_end(house, work, queued):
    await queued("a")
    house.worker.pause()
    draining = asyncio.create_task(house.worker.drain(1))
    await house.clock.advance(1)
    await house.clock.advance(STOP_GRACE)
    assert await draining == 1
    assert "a function does not stop" in house.errors()
    assert (await house.store.get(("client:one", "a"))).status == "PROCESSING"
    await house.worker.close()
    given_back = await house.store.get(("client:one", "a"))
    assert (given_back.status, given_back.attempts) == ("PENDING", 0)
    work.end("a/1")


async def test_without_a_request_around_it_nothing_is_kept():
    leave_running(asyncio.get_running_loop().create_future())


class FakeJob:
    def __init__(self, tenant, action="one"):
        self.record = type("Record", (), {"tenant": tenant, "action": action, "key": ("owner", tenant)})
        self.left_over = [asyncio.get_running_loop().create_future()]

    async def really_ended(self):
        await asyncio.wait(self.left_over)


async def test_what_is_left_counts_for_its_tenant_and_its_action_until_it_has_ended():
    slots = Slots(8, {"one": 1}, 4)
    job = FakeJob("acme")
    slots.running[job.record.key] = job
    waiting = slots.leave(job)
    assert slots.running == {}
    assert slots.tenant_limits() == {"tenant_limit": 4, "tenants": {"acme": 1}}
    assert slots.free_slots() == {"one": 0}
    assert slots.free() == 7
    assert slots.before(job.record.key) is job
    job.left_over[0].set_result(None)
    await waiting
    assert slots.tenant_limits()["tenants"] == {}
    assert slots.free_slots() == {"one": 1}
    assert slots.free() == 8
