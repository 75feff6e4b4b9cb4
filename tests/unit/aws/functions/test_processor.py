"""Batches of wake-ups: the table has the say, and only what it could not be asked about comes again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from streamer.core.errors import Error, StoreUnavailable
from streamer.core.records import Status
from streamer.engine.attempt_states import StopReason
from streamer.engine.orphans import OrphanCanceller
from streamer.engine.routes import Mode, Route
from streamer.testing.clock import settle
from streamer.testing.conformance import lease_of, record
from streamer_aws.functions.processor import LONGEST, Processor, fits
from streamer_aws.functions.sweep import DELIVERING, GRACE, LONG_GRACE, MANY, Sweep

OWNER = "client:one"
NOTHING_FAILED = {"batchItemFailures": []}


@pytest.fixture
def orphans(house):
    return OrphanCanceller(house.subscriptions, house.worker, logger=house.log)


@pytest.fixture
def processor(house, orphans):
    return Processor(
        house.store,
        house.worker,
        house.waker,
        orphans,
        lease=30.0,
        concurrency=4,
        clock=house.clock,
        logger=house.log,
    )


@pytest.fixture
def sweep(house, processor, orphans):
    return Sweep(
        house.store,
        house.worker,
        processor,
        house.delivery,
        house.waker,
        orphans,
        lease=30.0,
        clock=house.clock,
        logger=house.log,
    )


def queue_event(*names, **more):
    return {
        "Records": [
            {"messageId": f"m-{name}", "body": json.dumps({"owner": OWNER, "id": name, "action": "work", **more})}
            for name in names
        ]
    }


def stream_event(name, action="work", kind="INSERT"):
    change = {"Keys": {"owner": {"S": OWNER}, "id": {"S": name}}, "SequenceNumber": f"s-{name}"}
    if action:
        change["NewImage"] = {"action": {"S": action}}
    return {"Records": [{"eventName": kind, "dynamodb": change}]}


async def work(request):
    return request.id


async def stored(house, name="r1", **changes):
    await house.store.enqueue(record(house.clock, name, **changes))


async def state(house, name="r1"):
    return (await house.store.get((OWNER, name))).status


@pytest.mark.parametrize("event", [queue_event("r1"), stream_event("r1")], ids=["queue", "stream"])
async def test_a_wake_up_is_run_told_and_done_with(house, processor, event):
    house.declare("work", work)
    await stored(house)
    await house.subscriptions.add((OWNER, "r1"), "c1")
    assert await processor.process(event, 60.0) == NOTHING_FAILED
    found = await house.store.get((OWNER, "r1"))
    assert (found.status, found.attempts, found.worker) == (Status.COMPLETED, 1, "w1")
    assert await house.store.ended_undelivered(house.clock.now() - 100, house.clock.now() + 1) == []
    assert house.messages() == ["complete"]


async def test_wake_ups_that_come_twice_late_or_for_nothing_do_nothing(house, processor):
    house.declare("work", work)
    await stored(house)
    event = queue_event("r1", "r1", "never-stored")
    answers = await asyncio.gather(processor.process(event, 60.0), processor.process(event, 60.0))
    assert answers == [NOTHING_FAILED] * 2
    assert await processor.process(event, 60.0) == NOTHING_FAILED
    assert (await house.store.get((OWNER, "r1"))).attempts == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"messageId": "m", "body": "no json"},
        {"messageId": "m", "body": "[]"},
        {"messageId": "m", "body": '{"owner": "o"}'},
        {"messageId": "m"},
        {"eventName": "INSERT", "dynamodb": {}},
        {"eventName": "INSERT", "dynamodb": None},
    ],
)
async def test_a_wake_up_that_cannot_be_read_is_dropped_and_told(house, processor, broken):
    house.declare("work", work)
    await stored(house)
    event = queue_event("r1")
    event["Records"].insert(0, broken)
    assert await processor.process(event, 60.0) == NOTHING_FAILED
    assert await state(house) is Status.COMPLETED
    assert house.log.events("error") == ["an invalid wake-up was dropped"]


@pytest.mark.parametrize("event", [stream_event("r1", kind="MODIFY"), stream_event("r1", action="")])
async def test_what_the_stream_tells_of_no_new_request_is_passed_over(house, processor, event):
    house.declare("work", work)
    await stored(house)
    assert await processor.process(event, 60.0) == NOTHING_FAILED
    assert await state(house) is Status.PENDING
    assert house.log.lines == []


async def test_only_what_the_table_could_not_be_asked_about_comes_again(house, processor):
    house.declare("work", work)
    for name in ("r1", "r2"):
        await stored(house, name)
    take = house.store.claim_one

    async def broken(key, worker, lease, /, **more):
        if key[1] == "r2":
            raise StoreUnavailable("not now")
        return await take(key, worker, lease, **more)

    house.store.claim_one = broken
    answer = await processor.process(queue_event("r1", "r2"), 60.0)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-r2"}]}
    assert [await state(house, name) for name in ("r1", "r2")] == [Status.COMPLETED, Status.PENDING]


async def test_the_next_attempt_is_sent_for_when_it_is_due(house, processor):
    async def fail(request):
        raise Error("BUSY", "later", retryable=True)

    house.declare("work", fail)
    await stored(house, max_attempts=2)
    assert await processor.process(queue_event("r1"), 60.0) == NOTHING_FAILED
    ((key, action, after),) = house.waker.woken
    due_at = (await house.store.get((OWNER, "r1"))).due_at
    assert (key, action, after) == ((OWNER, "r1"), "work", pytest.approx(due_at - house.clock.now()))
    house.clock.jump(after)
    await processor.process(queue_event("r1"), 60.0)
    assert await state(house) is Status.FAILED
    assert len(house.waker.woken) == 1


async def test_an_action_that_takes_longer_than_the_function_is_left_to_a_worker(house, processor):
    house.declare("work", work, timeout=100.0)
    await stored(house)
    assert await processor.process(queue_event("r1"), 60.0) == NOTHING_FAILED
    assert await state(house) is Status.PENDING
    assert house.log.events("error") == ["a request is left to a worker: its action may take longer than this function"]


async def test_an_action_that_is_no_longer_declared_fails_like_everywhere(house, processor):
    await stored(house)
    assert await processor.process(queue_event("r1"), 60.0) == NOTHING_FAILED
    assert (await house.store.get((OWNER, "r1"))).error.code == "INVALID_ACTION"


async def test_a_handler_that_does_not_keep_to_its_time_is_given_back(house, processor):
    begun = asyncio.Event()

    async def stubborn(request):
        begun.set()
        await asyncio.Event().wait()

    house.declare("work", stubborn)
    await stored(house)
    processing = asyncio.create_task(processor.process(queue_event("r1"), 60.0))
    await begun.wait()
    # The manual clock bounds the whole, and nothing inside: as for a handler that takes no notice of its own bound.
    while not processing.done():
        await house.clock.advance(1.0)
    assert await processing == NOTHING_FAILED
    await house.worker.idle()
    assert await state(house) is Status.PENDING


async def test_no_more_run_at_a_time_than_the_file_says_and_who_has_no_turn_comes_again(house, processor):
    running = []
    begun = asyncio.Semaphore(0)

    async def stubborn(request):
        running.append(request.id)
        begun.release()
        await asyncio.Event().wait()

    house.declare("work", stubborn)
    names = [f"r{n}" for n in range(6)]
    for name in names:
        await stored(house, name)
    processing = asyncio.create_task(processor.process(queue_event(*names), 60.0))
    for _ in range(4):
        await begun.acquire()
    await settle()
    assert len(running) == 4
    while not processing.done():
        await house.clock.advance(1.0)
    answer = await processing
    assert len(answer["batchItemFailures"]) <= 2


async def test_a_request_that_kills_its_sandbox_fails_alone_whatever_shares_its_batches(house, processor, sweep):
    starts, died = Counter(), asyncio.Event()

    async def deadly_for_one(request):
        starts[request.id] += 1
        if request.id == "deadly":
            died.set()
        # All that runs next to it dies with it.
        await (asyncio.Event().wait() if died.is_set() else settle())

    house.declare("work", deadly_for_one)
    names = ["deadly", *(f"r{n}" for n in range(9))]
    for name in names:
        await stored(house, name)
    deaths = 0
    while deaths < 10:
        died.clear()
        processing = asyncio.create_task(processor.process(queue_event(*names), 600.0))
        dying = asyncio.create_task(died.wait())
        await asyncio.wait({processing, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if not died.is_set():
            break
        deaths += 1
        await settle()
        # The sandbox dies: it begins nothing more, writes nothing, and another takes over once its leases have expired.
        processing.cancel()
        await asyncio.gather(processing, return_exceptions=True)
        await settle()
        for attempt in list(house.worker.running.values()):
            attempt.stop(StopReason.CANCELLED)
            await attempt.ended()
        house.clock.jump(31)
    assert deaths == 3
    assert await state(house, "deadly") is Status.FAILED
    assert {await state(house, name) for name in names[1:]} == {Status.COMPLETED}
    assert max(starts.values()) <= 3


async def test_what_was_lost_runs_when_all_others_of_its_batch_have_ended(house, processor):
    running, order, together = set(), [], []

    async def watched(request):
        running.add(request.id)
        together.append(len(running))
        await settle()
        running.discard(request.id)
        order.append(request.id)

    house.declare("work", watched)
    for name in ("lost1", "lost2", "new1", "new2"):
        await stored(house, name)
    for name in ("lost1", "lost2"):
        await house.store.claim_one((OWNER, name), "dead", 30.0)
    house.clock.jump(31)
    assert await processor.process(queue_event("lost1", "new1", "lost2", "new2"), 60.0) == NOTHING_FAILED
    assert sorted(order[:2]) == ["new1", "new2"]
    assert sorted(order[2:]) == ["lost1", "lost2"]
    assert together[2:] == [1, 1]


async def test_what_was_lost_and_has_no_time_left_is_left_to_the_sweep(house, processor):
    async def slow(request):
        await house.clock.sleep(40.0)

    house.declare("work", slow)
    for name in ("lost1", "lost2", "lost3"):
        await stored(house, name)
        await house.store.claim_one((OWNER, name), "dead", 30.0)
    house.clock.jump(31)
    processing = asyncio.create_task(processor.process(queue_event("lost1", "lost2", "lost3"), 60.0))
    while not processing.done():
        await asyncio.sleep(0.001)
        await house.clock.advance(1.0)
    await processing
    found = [await state(house, name) for name in ("lost1", "lost2", "lost3")]
    assert found.count(Status.PROCESSING) >= 1


async def test_what_somebody_left_is_cancelled_when_its_time_is_over_and_nobody_came_back(house, processor):
    for name in ("gone", "back", "ended"):
        await stored(house, name)
        await house.subscriptions.add((OWNER, name), "c1", 30.0)
    left = await house.subscriptions.leave("c1")
    assert sorted(left) == [((OWNER, name), 30.0) for name in ("back", "ended", "gone")]
    await house.subscriptions.add((OWNER, "back"), "c2")
    await house.store.cancel((OWNER, "ended"))
    event = queue_event("gone", "back", "ended", left=True)
    assert await processor.process(event, 60.0) == NOTHING_FAILED
    assert await state(house, "gone") is Status.PENDING
    house.clock.jump(31)
    assert await processor.process(event, 60.0) == NOTHING_FAILED
    assert [await state(house, name) for name in ("gone", "back", "ended")] == [
        Status.CANCELLED,
        Status.PENDING,
        Status.CANCELLED,
    ]


async def test_a_departure_that_the_table_could_not_be_asked_about_comes_again(house, processor):
    async def broken(key, /):
        raise StoreUnavailable("not now")

    house.subscriptions.is_orphaned = broken
    answer = await processor.process(queue_event("r1", left=True), 60.0)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-r1"}]}


@pytest.mark.parametrize(
    ("options", "does"),
    [
        ({"estimate": 1.0}, True),
        ({"estimate": LONGEST + 1}, False),
        ({"estimate": LONGEST + 1, "timeout": 60.0}, True),
        ({"estimate": 1.0, "timeout": LONGEST + 1}, False),
    ],
)
def test_what_a_function_may_take_is_told_by_the_timeout_or_else_the_estimate(options, does):
    route = Route(name="a", handler=None, pipeline=None, mode=Mode.AUTO, **options)
    assert fits(route) is does


# The sweep


async def test_a_quiet_service_is_swept_in_silence(house, sweep):
    assert await sweep.run(60.0) == {"ended": 0, "delivered": 0, "orphaned": 0, "woken": 0}
    assert house.log.lines == []


async def test_what_nobody_was_woken_for_is_sent_for_and_what_is_a_workers_is_not(house, sweep):
    house.declare("work", work)
    house.declare("export", work, timeout=LONGEST * 2)
    await stored(house, "lost")
    await stored(house, "long", action="export")
    assert (await sweep.run(60.0))["woken"] == 0
    house.clock.jump(GRACE + 1)
    assert (await sweep.run(60.0))["woken"] == 1
    assert house.waker.woken == [((OWNER, "lost"), "work", 0.0)]


async def test_while_many_wake_ups_wait_only_what_is_very_old_is_sent_for_again(house, sweep):
    house.declare("work", work)
    await stored(house)
    house.waker.waiting = MANY
    house.clock.jump(GRACE + 1)
    assert (await sweep.run(60.0))["woken"] == 0
    house.clock.jump(LONG_GRACE)
    assert (await sweep.run(60.0))["woken"] == 1


async def test_without_a_queue_the_sweep_runs_what_is_due(house, sweep):
    house.waker.url = ""
    house.declare("work", work)
    await stored(house)
    await house.subscriptions.add((OWNER, "r1"), "c1")
    house.clock.jump(GRACE + 1)
    assert (await sweep.run(60.0))["woken"] == 1
    assert house.messages() == ["complete"]
    assert house.waker.woken == []


async def test_a_dead_sandboxes_request_is_sent_for_or_ended(house, sweep):
    house.declare("work", work)
    await stored(house, "again")
    await stored(house, "deadly", max_attempts=1)
    await house.subscriptions.add((OWNER, "deadly"), "c1")
    for name in ("again", "deadly"):
        await house.store.claim_one((OWNER, name), "dead", 30.0)
    house.clock.jump(31)
    found = await sweep.run(60.0)
    assert (found["ended"], found["woken"]) == (1, 1)
    assert house.messages() == ["error"]
    assert [waking[0][1] for waking in house.waker.woken] == ["again"]


async def test_an_outcome_that_a_dying_sandbox_did_not_tell_is_told(house, sweep):
    house.declare("work", work)
    for name in ("ended_undelivered", "half told"):
        await stored(house, name)
        await house.subscriptions.add((OWNER, name), "c1")
        (taken,) = (await house.store.claim_one((OWNER, name), "dead", 30.0)).records
        await house.store.complete(lease_of(taken), seq=5, result=b'{"success":true,"result":1}')
    await house.subscriptions.claim((OWNER, "half told"), "c1")
    assert (await sweep.run(60.0))["delivered"] == 0
    house.clock.jump(DELIVERING + 1)
    assert (await sweep.run(60.0))["delivered"] == 2
    assert house.messages() == ["complete", "complete"]
    assert (await sweep.run(60.0))["delivered"] == 0


async def test_what_was_left_and_whose_wake_up_was_lost_is_cancelled_by_the_sweep(house, sweep):
    house.declare("work", work)
    await stored(house, "gone")
    await house.subscriptions.add((OWNER, "gone"), "c1", 30.0)
    await house.subscriptions.leave("c1")
    assert (await sweep.run(60.0))["orphaned"] == 0
    house.clock.jump(31)
    assert (await sweep.run(60.0))["orphaned"] == 1
    assert await state(house, "gone") is Status.CANCELLED
    assert (await sweep.run(60.0))["orphaned"] == 0


async def test_a_part_that_fails_does_not_keep_from_the_rest(house, sweep):
    house.declare("work", work)
    await stored(house, "gone")
    await house.subscriptions.add((OWNER, "gone"), "c1", 30.0)
    await house.subscriptions.leave("c1")
    house.clock.jump(31)

    async def broken(*_arguments, **_more):
        raise StoreUnavailable("not now")

    house.store.claim = house.store.ended_undelivered = house.store.due = broken
    assert await sweep.run(60.0) == {"ended": 0, "delivered": 0, "orphaned": 1, "woken": 0}
    assert house.log.events("error") == ["a sweep is incomplete"] * 3


async def test_connections_that_take_nothing_do_not_hold_up_what_is_due(house, sweep):
    house.declare("work", work)
    names = [f"r{n}" for n in range(40)]
    for name in names:
        await stored(house, name)
        await house.subscriptions.add((OWNER, name), "full")
        (taken,) = (await house.store.claim_one((OWNER, name), "dead", 30.0)).records
        await house.store.complete(lease_of(taken), seq=5, result=b'{"success":true,"result":1}')
    await stored(house, "deadly", max_attempts=1)
    await house.subscriptions.add((OWNER, "deadly"), "full")
    await house.store.claim_one((OWNER, "deadly"), "dead", 30.0)
    await stored(house, "gone")
    await house.subscriptions.add((OWNER, "gone"), "full", 1.0)
    await house.subscriptions.leave("full")
    await stored(house, "lost")
    house.clock.jump(GRACE + 1)
    woken_before = []

    async def full(connection_id, message, /, **_options):
        woken_before.append(len(house.waker.woken))
        await asyncio.Event().wait()

    house.connections.send = full
    sweeping = asyncio.create_task(sweep.run(60.0))
    began = house.clock.monotonic()
    while not sweeping.done():
        await asyncio.sleep(0.001)
        await house.clock.advance(1.0)
    found = await sweeping
    # All that was due was sent for before anything was sent to a connection, and the sweep ended in its time.
    assert {"lost"} <= {key[1] for key, _, _ in house.waker.woken}
    assert woken_before
    assert set(woken_before) == {len(house.waker.woken)}
    assert found["ended"] == 1
    assert house.clock.monotonic() - began < 60
    assert await state(house, "deadly") is Status.FAILED
    assert "a sweep has not sent everything; the next one continues" in house.log.events("warning")
