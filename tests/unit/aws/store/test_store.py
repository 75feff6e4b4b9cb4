"""The store beside others, over a wire that loses answers and throttles; and what each request costs in calls."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from streamer.contracts.stores import Lease
from streamer.core.attempts import MAX_HISTORY, LastReport, Outcome
from streamer.core.errors import NOT_FOUND, OVERLOADED, Error, LeaseLost, StoreError, StoreUnavailable
from streamer.core.messages import ErrorBody
from streamer.core.records import Status
from streamer.testing.conformance import lease_of, record
from streamer_aws.dynamodb import calls
from streamer_aws.store import claimer
from streamer_aws.store.store import DynamoStore

LEASE = 30.0
OWNER = "client:one"


async def claimed(store, count=1):
    records = (await store.claim("w1", count, LEASE)).records
    assert len(records) == count
    return records


async def test_of_32_contenders_in_stores_of_their_own_one_wins(client, table, clock, store):
    others = [DynamoStore(client, table, clock=clock) for _ in range(32)]
    for n in range(3):
        await store.enqueue(record(clock, f"r{n}"))
        claims = await asyncio.gather(*(other.claim(f"w{n}", 1, LEASE) for n, other in enumerate(others)))
        assert sum(len(claim.records) for claim in claims) == 1
        found = await store.get((OWNER, f"r{n}"))
        assert (found.fence, found.attempts) == (1, 1)


async def test_contenders_for_a_lapsed_lease_and_for_a_last_attempt_do_not_meet(client, table, clock, store):
    await store.enqueue(record(clock, "expired"))
    await store.enqueue(record(clock, "deadly", max_attempts=1))
    await claimed(store, 2)
    clock.jump(LEASE)
    others = [DynamoStore(client, table, clock=clock) for _ in range(8)]
    claims = await asyncio.gather(*(other.claim(f"w{n}", 5, LEASE) for n, other in enumerate(others)))
    assert [one.id for claim in claims for one in claim.records] == ["expired"]
    assert [one.id for claim in claims for one in claim.abandoned] == ["deadly"]


async def test_many_workers_together_take_everything_once(client, table, clock, store):
    for n in range(40):
        await store.enqueue(record(clock, f"r{n}"))
    others = [DynamoStore(client, table, clock=clock) for _ in range(4)]
    taken = Counter()
    while sum(taken.values()) < 40:
        claims = await asyncio.gather(*(other.claim(f"w{n}", 5, LEASE) for n, other in enumerate(others)))
        taken.update(one.id for claim in claims for one in claim.records)
    assert set(taken.values()) == {1}


async def test_what_a_request_costs_in_calls(wire, store, clock):
    """A life alone: stored, claimed, told of once, completed, delivered."""
    await store.enqueue(record(clock))
    assert wire.calls == {"get_item": 1, "update_item": 2, "query": 2, "put_item": 1}, "the first counts the queue"
    wire.calls.clear()
    await store.enqueue(record(clock, "r2"))
    assert wire.calls == {"put_item": 1}
    wire.calls.clear()
    one, two = await claimed(store, 2)
    assert wire.calls == {"query": 3, "update_item": 2}, "two lanes and what expires; then one write each"
    wire.calls.clear()
    await store.claim("w1", 5, LEASE)
    assert wire.calls == {"query": 2}, "what expires is looked for once a second"
    wire.calls.clear()
    assert await store.renew([lease_of(one)], LEASE) == []
    await store.update_progress(lease_of(one), seq=1, percentage=50)
    await store.complete(lease_of(one), seq=2, result=b"1")
    await store.mark_delivered([one.key])
    assert wire.calls == {"update_item": 4}, "one call each"
    wire.calls.clear()
    await store.fail(lease_of(two), seq=1, error=ErrorBody("E", "e"))
    await store.cancel((OWNER, (await store.requeue(two.key)).id))
    assert wire.calls == {"get_item": 3, "put_item": 3}, "what is rare is read first"


async def test_a_hundred_requests_cost_six_calls_each_at_the_most(wire, store, clock):
    for n in range(100):
        await store.enqueue(record(clock, f"r{n}", owner=f"o{n % 7}"))
    done = 0
    while done < 100:
        for one in (await store.claim("w1", 10, LEASE)).records:
            await store.complete(lease_of(one), seq=1, result=b"1")
            await store.mark_delivered([one.key])
            done += 1
    assert wire.calls.total() / 100 < 4.4
    assert wire.calls["put_item"] == 100
    # Two of them are of the count of what waits.
    assert wire.calls["update_item"] == 302


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_write_whose_answer_is_lost_is_made_once(wire, store, clock, lost):
    wire.lose["put_item"] = lost
    assert await store.enqueue(record(clock)) is None
    wire.lose["update_item"] = lost
    (one,) = await claimed(store)
    assert (one.fence, one.attempts) == (1, 1)
    for write in (
        lambda: store.renew([lease_of(one)], LEASE),
        lambda: store.update_progress(lease_of(one), seq=1, percentage=50),
        lambda: store.complete(lease_of(one), seq=2, result=b"1"),
        lambda: store.mark_delivered([one.key]),
    ):
        wire.lose["update_item"] = lost
        assert not await write()
    found = await store.get(one.key)
    assert (found.status, found.percentage) == (Status.COMPLETED, 100)
    assert found.delivered_at is not None
    await store.enqueue(record(clock, "r2"))
    (two,) = await claimed(store)
    wire.lose["put_item"] = lost
    await store.fail(lease_of(two), seq=1, error=ErrorBody("E", "e"))
    for write in (store.requeue, store.cancel):
        wire.lose["put_item"] = lost
        await write(two.key)
    assert (await store.get(two.key)).status is Status.CANCELLED
    wire.lose["delete_item"] = lost
    clock.jump(10)
    await store.purge(clock.now())
    assert (await store.list()).requests == []


async def test_throttled_writes_are_made_a_little_later(wire, store, clock, error_of):
    wire.refuse["put_item"] = [error_of("ThrottlingException"), error_of("TransactionConflictException")]
    assert await store.enqueue(record(clock)) is None
    wire.refuse["update_item"] = [error_of("ProvisionedThroughputExceededException")]
    await claimed(store)


@pytest.mark.parametrize("operation", ["put_item"])
async def test_a_table_that_takes_no_more_is_overloaded(wire, store, clock, error_of, operation):
    wire.refuse[operation] = [error_of("ProvisionedThroughputExceededException") for _ in range(4 * calls.TRIES)]
    with pytest.raises(Error) as refused:
        await store.enqueue(record(clock))
    assert refused.value.code == OVERLOADED
    assert refused.value.details["retry_after_ms"] > 0
    wire.refuse.clear()
    assert await store.enqueue(record(clock)) is None
    assert (await store.counts())[Status.PENDING] == 1


async def test_a_worker_is_told_that_the_store_is_throttled_and_may_try_again(wire, store, clock, error_of):
    await store.enqueue(record(clock))
    (one,) = await claimed(store)
    wire.refuse["update_item"] = [error_of("ThrottlingException") for _ in range(calls.TRIES)]
    with pytest.raises(StoreUnavailable, match="throttles"):
        await store.complete(lease_of(one), seq=1, result=b"1")
    await store.complete(lease_of(one), seq=1, result=b"1")


async def test_a_claim_that_fails_for_one_keeps_the_others(wire, store, clock, error_of):
    for n in range(3):
        await store.enqueue(record(clock, f"r{n}"))
    wire.refuse["update_item"] = [error_of("AccessDeniedException")]
    assert len((await store.claim("w1", 3, LEASE)).records) == 2
    wire.refuse["update_item"] = [error_of("AccessDeniedException")]
    with pytest.raises(StoreUnavailable):
        await store.claim("w1", 3, LEASE)
    await claimed(store)
    clock.jump(LEASE)
    wire.refuse["get_item"] = [error_of("AccessDeniedException")]
    assert len((await store.claim("w1", 3, LEASE)).records) == 2


async def test_a_fault_of_the_table_is_no_acknowledgment(wire, store, clock, error_of):
    wire.refuse["put_item"] = [error_of("AccessDeniedException", "not you")]
    with pytest.raises(StoreUnavailable, match="not you"):
        await store.enqueue(record(clock))
    assert await store.get((OWNER, "r1")) is None


async def test_a_request_that_changes_all_the_time_does_not_hold_its_writer_forever(wire, store, clock):
    await store.enqueue(record(clock))
    item = (await wire.client.get_item(TableName=store._calls.table, Key={"owner": {"S": OWNER}, "id": {"S": "r1"}}))[
        "Item"
    ]

    async def meddle(**parameters):
        await wire.client.put_item(
            TableName=store._calls.table, Item={**item, "version": {"S": f"other{meddle.count}"}}
        )
        meddle.count += 1
        return await wire.client.put_item(**parameters)

    meddle.count = 0
    wire.put_item = meddle
    with pytest.raises(StoreUnavailable, match="keeps changing"):
        await store.cancel((OWNER, "r1"))


async def test_a_result_that_does_not_fit_is_refused_and_the_claim_still_holds(store, clock):
    await store.enqueue(record(clock, payload=b"1" * 200_000))
    (one,) = await claimed(store)
    with pytest.raises(Error, match="400 KB") as refused:
        await store.complete(lease_of(one), seq=1, result=b"2" * 250_000)
    assert refused.value.details["size"] == 250_000
    with pytest.raises(StoreError, match="does not fit"):
        await store.update_progress(lease_of(one), seq=1, percentage=1, metadata=b"3" * 250_000)
    await store.fail(lease_of(one), seq=1, error=ErrorBody("E", "e"))


async def test_errors_that_do_not_fit_are_kept_without_their_details(store, clock):
    await store.enqueue(record(clock, payload=b"1" * 300_000))
    (one,) = await claimed(store)
    broken = ErrorBody("BROKEN", "it broke", details={"why": "x" * 100_000})
    await store.fail(lease_of(one), seq=1, error=broken)
    found = await store.get(one.key)
    assert (found.status, found.error) == (Status.FAILED, ErrorBody("BROKEN", "it broke"))
    assert [one.outcome for one in found.history] == [Outcome.FAILED]


async def test_a_record_that_grew_to_the_limit_says_so(store, clock, wire, table):
    await store.enqueue(record(clock, payload=b"1" * 300_000))
    (one,) = await claimed(store)
    key = {"owner": {"S": OWNER}, "id": {"S": "r1"}}
    await wire.client.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET #result = :result",
        ExpressionAttributeNames={"#result": "result"},
        ExpressionAttributeValues={":result": {"B": b"1" * 108_500}},
    )
    with pytest.raises(StoreUnavailable, match="does not fit"):
        await store.fail(lease_of(one), seq=1, error=ErrorBody("E", "e" * 2000))


async def test_what_has_outlived_its_time_is_as_good_as_deleted(client, table, clock):
    store = DynamoStore(client, table, clock=clock, retention=100)
    for name in ("r1", "r2"):
        await store.enqueue(record(clock, name))
        await store.cancel((OWNER, name))
    clock.jump(101)
    assert await store.get((OWNER, "r1")) is None
    assert await store.find("r1") == []
    assert (await store.list()).requests == []
    assert await store.undelivered(OWNER) == []
    assert (await store.counts())[Status.CANCELLED] == 0
    with pytest.raises(Error) as refused:
        await store.requeue((OWNER, "r1"))
    assert refused.value.code == NOT_FOUND
    with pytest.raises(LeaseLost):
        await store.fail(Lease(OWNER, "r1", 0), seq=1, error=ErrorBody("E", "e"))
    assert await store.purge(clock.now() - 100) == 0, "the table deletes it itself, for nothing"
    assert await store.enqueue(record(clock, "r1", payload=b"2")) is None
    assert (await store.get((OWNER, "r1"))).payload == b"2"


async def test_more_attempts_than_are_remembered_do_not_make_it_grow(store, clock):
    await store.enqueue(record(clock, max_attempts=100))
    for _ in range(MAX_HISTORY + 3):
        (one,) = await claimed(store)
        await store.release([lease_of(one)])
    assert len((await store.get((OWNER, "r1"))).history) == MAX_HISTORY


async def test_unsettled_goes_on_until_it_has_as_many_as_were_asked_for(store, clock):
    for n in range(5):
        await store.enqueue(record(clock, f"r{n}"))
    assert [name for _, name in await store.undelivered(OWNER, limit=3)] == ["r0", "r1", "r2"]
    assert list(await store.undelivered(OWNER, limit=0)) == []


async def test_a_listing_in_parts_is_in_order_across_them(client, table, clock):
    store = DynamoStore(client, table, clock=clock, shards=4)
    for n in range(60):
        await store.enqueue(record(clock, f"r{n:02}"))
        clock.jump(1)
    seen, cursor = [], None
    while True:
        page = await store.list(limit=13, cursor=cursor)
        seen += [one.id for one in page.requests]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [f"r{n:02}" for n in reversed(range(60))]
    assert [one.id for one in (await store.list(action="work", owner=OWNER, limit=2)).requests] == ["r59", "r58"]
    assert (await store.list(action="other")).requests == []
    assert (await store.list(limit=0)).requests == []


async def test_the_store_itself_never_fails_for_good(store):
    failed = asyncio.ensure_future(store.failed())
    await asyncio.sleep(0)
    assert not failed.done()
    failed.cancel()


async def test_now_and_then_a_claim_says_that_others_may_have_written(store, clock):
    assert [(await store.claim("w1", 1, LEASE)).changed_externally for _ in range(2)] == [False, False]
    await clock.sleep(claimer.FOREIGN_INTERVAL)
    assert [(await store.claim("w1", 1, LEASE)).changed_externally for _ in range(2)] == [True, False]


async def test_progress_that_does_not_fit_into_the_item_gives_way_to_the_result(store, clock):
    await store.enqueue(record(clock, "r1"))
    (one,) = await claimed(store, 1)
    await store.complete(lease_of(one), seq=2, result=b"1", progress=LastReport(50, "x" * 500_000))
    found = await store.get(one.key)
    assert (found.status, found.result, found.message) == ("COMPLETED", b"1", "")
