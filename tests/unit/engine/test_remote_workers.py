"""Workers whose connections are calls away, and that are handed what they are to run."""

from __future__ import annotations

import asyncio

import pytest

from streamer.contracts.stores import Claims
from streamer.core.clock import SystemClock
from streamer.core.errors import TIMEOUT, Error
from streamer.core.records import Status
from streamer.engine.progress import AttemptReporter, ProgressPump
from streamer.testing.clock import settle

OWNER = "client:one"


@pytest.fixture
async def remote(make_house):
    house = make_house(remote=True, progress_interval=1.0)
    yield house
    await house.stop()


async def enqueue(house, action, name="r1"):
    house.send(house.peer(), action=action, id=name)
    await house.settle()


async def test_what_somebody_else_claimed_is_begun_and_bounded(house):
    async def forever(request):
        await asyncio.Event().wait()

    house.declare("slow", forever, mode="async")
    house.clock = SystemClock()
    house.worker  # noqa: B018 - made, but not running: nothing claims by itself
    await enqueue(house, "slow")
    claims = await house.store.claim("w1", 1, 30.0)
    async with house.worker.attending():
        assert await house.worker.begin(claims, 0.01) == 1
        (job,) = house.worker.running.values()
        await job.ended()
    record = await house.store.get((OWNER, "r1"))
    # The worker's time is over, which is worth another attempt.
    assert (record.status, record.history[-1].error.code) == (Status.RETRYING, TIMEOUT)
    assert job.retry_at == record.due_at


async def test_the_actions_own_timeout_counts_where_it_is_less(house):
    house.declare("slow", lambda request: asyncio.Event().wait(), mode="async", timeout=0.01)
    await enqueue(house, "slow")
    async with house.worker.attending():
        await house.worker.begin(await house.store.claim("w1", 1, 30.0), 60.0)
        (job,) = house.worker.running.values()
        await job.ended()
    assert "longer than 10ms" in (await house.store.get((OWNER, "r1"))).history[-1].error.message


async def test_what_ended_well_or_for_good_is_not_due_again(house):
    async def fail(request):
        raise Error("BROKEN", "it broke")

    async def work(request):
        return 1

    house.declare("work", work, mode="async")
    house.declare("fail", fail, mode="async")
    for name in ("work", "fail"):
        await enqueue(house, name, name)
    async with house.worker.attending():
        await house.worker.begin(await house.store.claim("w1", 2, 30.0))
        jobs = list(house.worker.running.values())
        for job in jobs:
            await job.ended()
    assert [job.retry_at for job in jobs] == [None, None]


async def test_nothing_of_it_runs_on_when_it_attends_no_more(house):
    before = asyncio.all_tasks()
    async with house.worker.attending():
        await settle()
        assert len(asyncio.all_tasks() - before) == 2
    assert asyncio.all_tasks() == before


async def test_a_cancelled_request_that_nobody_claims_here_may_be_begun_later(house):
    """A mark that outlived its claim would keep this process from ever running the request, once it is queued again."""
    ran = []

    async def work(request):
        ran.append(request.id)

    house.declare("work", work, mode="async")
    await enqueue(house, "work")
    await house.worker.cancel((OWNER, "r1"), "Not wanted any more")
    await house.store.requeue((OWNER, "r1"))
    async with house.worker.attending():
        await house.worker.begin(await house.store.claim("w1", 1, 30.0))
        for job in list(house.worker.running.values()):
            await job.ended()
    assert ran == ["r1"]


async def test_a_worker_of_some_actions_leaves_the_others_alone(make_house):
    house = make_house(actions=("mine",))
    ran = []

    async def work(request):
        ran.append(request.action)

    for name in ("mine", "other"):
        house.declare(name, work, mode="async")
    for name in ("mine", "other"):
        await enqueue(house, name, name)
    await house.worker.step()
    await settle()
    assert ran == ["mine"]
    await house.stop()


async def test_the_first_report_is_written_down_at_once_and_the_last_with_the_outcome_alone(remote):
    reported, go_on = asyncio.Event(), asyncio.Event()
    saved = []

    async def work(request):
        request.progress.report(10, "begun")
        reported.set()
        await go_on.wait()
        request.progress.report(90, "nearly")

    update = remote.store.update_progress

    async def spy(claim, /, **progress):
        saved.append(progress["percentage"])
        await update(claim, **progress)

    remote.store.update_progress = spy
    remote.declare("work", work, mode="async")
    await remote.start()
    await enqueue(remote, "work")
    await reported.wait()
    await settle()
    assert (await remote.store.get((OWNER, "r1"))).message == "begun"
    go_on.set()
    await settle()
    record = await remote.store.get((OWNER, "r1"))
    assert (record.status, saved) == (Status.COMPLETED, [10.0])


async def test_whoever_asks_between_two_attempts_is_not_told_less_than_was_told(remote):
    async def work(request):
        request.progress.report(10)
        await settle()
        request.progress.report(90, "nearly")
        raise Error("BUSY", "later", retryable=True)

    remote.declare("work", work, mode="async")
    await remote.start()
    await enqueue(remote, "work")
    await settle()
    record = await remote.store.get((OWNER, "r1"))
    assert (record.status, record.percentage, record.message) == (Status.RETRYING, 90.0, "nearly")


async def test_progress_of_one_request_does_not_wait_for_anothers_where_sending_takes_long(house):
    gates = {"slow": asyncio.Event(), "quick": asyncio.Event()}
    sent = []

    async def emit(reporter, update, seq):
        await gates[reporter.claim].wait()
        sent.append(reporter.claim)

    pump = ProgressPump(emit, interval=1.0, clock=house.clock, parallel=True)
    running = asyncio.create_task(pump.run())
    for name in gates:
        AttemptReporter(pump, name, 1).report(10)
    gates["quick"].set()
    await settle()
    assert sent == ["quick"]
    gates["slow"].set()
    await settle()
    assert sent == ["quick", "slow"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_claims_of_nothing_begin_nothing(house):
    assert await house.worker.begin(Claims([], [], None)) == 0
