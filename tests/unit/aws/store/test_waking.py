"""Requests that workers are woken for: taken by their key, and found when a wake-up or a delivery was lost."""

from __future__ import annotations

import asyncio

import pytest

from streamer.contracts.stores import Claims
from streamer.core.errors import StoreUnavailable
from streamer.core.messages import ErrorBody
from streamer.core.records import Status
from streamer.testing.conformance import lease_of, record
from streamer_aws.store.store import DynamoStore

LEASE = 30.0
OWNER = "client:one"
BROKEN = ErrorBody("BROKEN", "it broke", retryable=True)


def key(name):
    return (OWNER, name)


@pytest.fixture
async def store(wire, table, clock):
    store = DynamoStore(wire, table, clock=clock, shards=2, ended_undelivered=True)
    yield store
    await store.close()


async def test_what_was_just_stored_is_taken_by_one_call(store, wire, clock):
    await store.enqueue(record(clock))
    before = wire.calls.total()
    claims = await store.claim_one(key("r1"), "w1", LEASE)
    assert wire.calls.total() == before + 1
    (taken,) = claims.records
    assert (taken.status, taken.fence, taken.attempts, taken.worker) == (Status.PROCESSING, 1, 1, "w1")
    assert taken == await store.get(key("r1"))


async def test_of_32_who_are_woken_for_one_request_one_has_it(client, table, clock, store):
    others = [DynamoStore(client, table, clock=clock) for _ in range(32)]
    await store.enqueue(record(clock))
    claims = await asyncio.gather(*(other.claim_one(key("r1"), f"w{n}", LEASE) for n, other in enumerate(others)))
    assert sum(len(claim.records) for claim in claims) == 1
    assert (await store.get(key("r1"))).attempts == 1


async def test_nobody_takes_what_runs_has_ended_waits_for_its_retry_or_was_never_there(store, clock):
    await store.enqueue(record(clock))
    assert (await store.claim_one(key("nothing"), "w1", LEASE)).records == []
    (taken,) = (await store.claim_one(key("r1"), "w1", LEASE)).records
    assert await store.claim_one(key("r1"), "w2", LEASE) == Claims([], [], None)
    await store.fail(lease_of(taken), seq=5, error=BROKEN, retry_at=clock.now() + 10)
    assert (await store.claim_one(key("r1"), "w2", LEASE)).records == []
    clock.jump(10)
    (again,) = (await store.claim_one(key("r1"), "w2", LEASE)).records
    assert (again.attempts, again.fence) == (2, 2)
    await store.complete(lease_of(again), seq=9, result=b"1")
    assert await store.claim_one(key("r1"), "w3", LEASE) == Claims([], [], None)


async def test_a_lease_that_ran_out_is_taken_over_or_abandoned(store, clock):
    await store.enqueue(record(clock, "expired"))
    await store.enqueue(record(clock, "deadly", max_attempts=1))
    for name in ("expired", "deadly"):
        assert (await store.claim_one(key(name), "w1", LEASE)).records
    clock.jump(LEASE + 1)
    assert [one.attempts for one in (await store.claim_one(key("expired"), "w2", LEASE)).records] == [2]
    claims = await store.claim_one(key("deadly"), "w2", LEASE)
    assert (claims.records, [one.status for one in claims.abandoned]) == ([], [Status.FAILED])


async def test_what_can_expire_is_taken_in_time_and_ended_after_it(store, clock):
    for name in ("soon", "late"):
        await store.enqueue(record(clock, name, expires_at=clock.now() + 60))
    assert [one.id for one in (await store.claim_one(key("soon"), "w1", LEASE)).records] == ["soon"]
    clock.jump(61)
    claims = await store.claim_one(key("late"), "w1", LEASE)
    assert (claims.records, [one.error.code for one in claims.abandoned]) == ([], ["TIMEOUT"])


async def test_a_requeued_request_is_taken_again(store, clock):
    await store.enqueue(record(clock))
    (taken,) = (await store.claim_one(key("r1"), "w1", LEASE)).records
    await store.fail(lease_of(taken), seq=5, error=BROKEN)
    await store.requeue(key("r1"))
    (again,) = (await store.claim_one(key("r1"), "w1", LEASE)).records
    assert again.fence > taken.fence


async def test_a_claim_whose_answer_was_lost_is_still_ours(store, wire, clock):
    await store.enqueue(record(clock))
    wire.lose["update_item"] = 1
    assert [one.fence for one in (await store.claim_one(key("r1"), "w1", LEASE)).records] == [1]


@pytest.mark.parametrize("expired", [False, True])
async def test_a_table_that_fails_is_no_answer(store, wire, clock, error_of, expired):
    await store.enqueue(record(clock))
    if expired:
        await store.claim_one(key("r1"), "w1", LEASE)
        clock.jump(LEASE + 1)
    refusals = [error_of("InternalServerError", status=500)] * 50
    wire.refuse["get_item" if expired else "update_item"] = refusals
    with pytest.raises(StoreUnavailable):
        await store.claim_one(key("r1"), "w1", LEASE)


async def test_what_nobody_was_woken_for_is_found_once_it_is_old_enough(store, clock):
    await store.enqueue(record(clock, "old", action="slow"))
    clock.jump(50)
    await store.enqueue(record(clock, "new"))
    clock.jump(20)
    found = await store.due(clock.now() - 60)
    assert found == [(key("old"), "slow")]
    assert {waiting.key for waiting in await store.due(clock.now() + 1)} == {key("old"), key("new")}
    assert len(await store.due(clock.now() + 1, 1)) == 1


async def test_a_lease_that_ran_out_is_found_at_once_and_a_retry_when_its_wake_up_is_late(store, clock):
    for name in ("expired", "alive", "retry"):
        await store.enqueue(record(clock, name))
    await store.claim_one(key("expired"), "w1", LEASE)
    (taken,) = (await store.claim_one(key("retry"), "w1", LEASE)).records
    await store.fail(lease_of(taken), seq=3, error=BROKEN, retry_at=clock.now() + 20)
    clock.jump(20)
    await store.claim_one(key("alive"), "w1", LEASE)
    clock.jump(11)
    assert [waiting.key for waiting in await store.due(clock.now() - 60)] == [key("expired")]
    assert {waiting.key for waiting in await store.due(clock.now() - 10)} == {key("expired"), key("retry")}


async def test_what_has_ended_and_was_not_told_is_found_until_it_is_told(store, clock):
    began = clock.now()
    for name in ("done", "failed", "cancelled", "told", "running"):
        await store.enqueue(record(clock, name))
    for name in ("done", "failed", "told", "running"):
        (taken,) = (await store.claim_one(key(name), "w1", LEASE)).records
        if name == "failed":
            await store.fail(lease_of(taken), seq=3, error=BROKEN)
        elif name != "running":
            await store.complete(lease_of(taken), seq=3, result=b"1")
    await store.cancel(key("cancelled"))
    await store.mark_delivered([key("told")])
    found = {key("done"), key("failed"), key("cancelled")}
    assert set(await store.ended_undelivered(began - 1, clock.now())) == found
    assert await store.ended_undelivered(began - 100, began - 50) == []
    assert len(await store.ended_undelivered(began - 1, clock.now(), 1)) == 1
    await store.mark_delivered(sorted(found))
    assert await store.ended_undelivered(began - 1, clock.now()) == []


async def test_a_failed_request_that_runs_again_is_not_taken_for_an_untold_one(store, clock):
    await store.enqueue(record(clock))
    (taken,) = (await store.claim_one(key("r1"), "w1", LEASE)).records
    await store.fail(lease_of(taken), seq=3, error=BROKEN)
    await store.requeue(key("r1"))
    await store.claim_one(key("r1"), "w1", LEASE)
    assert await store.ended_undelivered(clock.now() - 100, clock.now()) == []


async def test_a_store_that_is_not_to_be_asked_keeps_no_index_of_what_was_not_told(wire, table, clock):
    store = DynamoStore(wire, table, clock=clock)
    await store.enqueue(record(clock))
    (taken,) = (await store.claim_one(key("r1"), "w1", LEASE)).records
    await store.complete(lease_of(taken), seq=3, result=b"1")
    assert await store.ended_undelivered(clock.now() - 100, clock.now()) == []
    await store.close()


async def test_a_look_goes_on_over_pages(store, wire, clock, monkeypatch):
    for n in range(6):
        await store.enqueue(record(clock, f"r{n}"))
    clock.jump(100)
    original = wire.__getattr__("query")

    async def two_at_a_time(**parameters):
        return await original(**{"Limit": 2, **parameters})

    monkeypatch.setattr(wire, "query", two_at_a_time, raising=False)
    assert len(await store.due(clock.now() - 60)) == 6
