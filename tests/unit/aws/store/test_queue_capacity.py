"""How many may wait: of everybody together, counted now and then, and of one owner."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import OVERLOADED, Error
from streamer.testing import ManualClock
from streamer.testing.conformance import lease_of, record
from streamer_aws.dynamodb.calls import Calls
from streamer_aws.store import queue_capacity
from streamer_aws.store.items import Layout
from streamer_aws.store.queue_capacity import COUNT_INTERVAL, FULL_INTERVAL, OWNER_FULL_FOR, QueueCapacity
from streamer_aws.store.queue_count import LEASE, SWEPT_AGE
from streamer_aws.store.store import DynamoStore

OWNER = "client:one"


async def refused(store, one):
    with pytest.raises(Error) as problem:
        await store.enqueue(one)
    assert problem.value.code == OVERLOADED
    return problem.value


async def test_what_others_stored_counts_after_the_next_count(client, table, clock):
    mine = DynamoStore(client, table, clock=clock, max_queued=3)
    others = DynamoStore(client, table, clock=clock, max_queued=100)
    await mine.enqueue(record(clock, "r0"))
    for n in range(1, 5):
        await others.enqueue(record(clock, f"r{n}"))
    assert await mine.enqueue(record(clock, "let in")) is None
    clock.jump(COUNT_INTERVAL)
    await clock.sleep(COUNT_INTERVAL)
    await refused(mine, record(clock, "one more"))


async def test_capacity_that_others_freed_is_found_within_a_second(client, table, clock):
    mine = DynamoStore(client, table, clock=clock, max_queued=2)
    others = DynamoStore(client, table, clock=clock)
    for n in range(2):
        await mine.enqueue(record(clock, f"r{n}"))
    await refused(mine, record(clock, "r2"))
    await others.claim("w1", 1, 30.0)
    await refused(mine, record(clock, "r2"))
    await clock.sleep(FULL_INTERVAL)
    assert await mine.enqueue(record(clock, "r2")) is None


async def test_many_at_once_do_not_overrun_the_first_count(client, table, clock):
    store = DynamoStore(client, table, clock=clock, max_queued=10)
    answers = await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(30)), return_exceptions=True)
    assert answers.count(None) == 10


async def test_a_count_that_fails_refuses_nobody_and_is_made_again(wire, store, clock, error_of):
    wire.refuse["query"] = [error_of("AccessDeniedException")]
    assert await store.enqueue(record(clock)) is None
    assert wire.calls["query"] >= 1
    asked = wire.calls["query"]
    await clock.sleep(COUNT_INTERVAL + LEASE)
    assert await store.enqueue(record(clock, "r2")) is None
    assert wire.calls["query"] > asked


async def test_an_owner_may_have_only_so_many_waiting(wire, client, table, clock, error_of):
    store = DynamoStore(wire, table, clock=clock, max_queued_per_owner=3)
    answers = await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(3)), return_exceptions=True)
    assert answers == [None] * 3
    problem = await refused(store, record(clock, "r3"))
    assert problem.details["max_queued_per_owner"] == 3
    assert await store.enqueue(record(clock, "r0")) is not None, "what stands is answered all the same"
    assert await store.enqueue(record(clock, "r3", owner="client:two")) is None
    one, two = [one for one in (await store.claim("w1", 9, 30.0)).records if one.owner == OWNER][:2]
    await store.complete(lease_of(one), seq=1, result=b"1")
    await store.fail(lease_of(two), seq=1, error=None, retry_at=clock.now() + 60)
    for name in ("r3", "r4"):
        assert await store.enqueue(record(clock, name)) is None
    await refused(store, record(clock, "r5"))
    asked = wire.calls["query"]
    for _ in range(10):
        await refused(store, record(clock, "r5"))
    assert wire.calls["query"] == asked, "an owner whose share was full a moment ago is not counted anew"
    await clock.sleep(OWNER_FULL_FOR)
    wire.refuse["query"] = [error_of("AccessDeniedException")]
    assert await store.enqueue(record(clock, "r5")) is None


class Pages:
    """A lane that is longer than anybody needs to know."""

    def __init__(self):
        self.asked = 0

    async def query(self, **_parameters):
        self.asked += 1
        return {"Count": 40, "LastEvaluatedKey": {"owner": {"S": "o"}}}

    async def get_item(self, **_parameters):
        return {}

    async def update_item(self, **_parameters):
        return {}

    async def put_item(self, **_parameters):
        return {}


async def test_a_count_of_many_pages_stops_when_it_is_too_many():
    pages, clock = Pages(), ManualClock()
    limits = QueueCapacity(Calls(pages, "requests", clock), Layout(1, 60.0), clock, 100, None)
    with pytest.raises(Error, match="full"):
        await limits.enter(("o", "r1"))
    assert pages.asked == 6


async def test_one_process_counts_for_all(client, table, clock, wired):
    services = []
    for _ in range(5):
        wire = wired(client)
        services.append((wire, DynamoStore(wire, table, clock=clock, max_queued=100)))
    for n, (_, store) in enumerate(services):
        await store.enqueue(record(clock, f"r{n}"))
    assert [wire.calls["query"] for wire, _ in services] == [2, 0, 0, 0, 0]


async def test_where_a_sweep_counts_nobody_else_does_and_a_full_queue_is_seen_by_all(client, table, clock, wired):
    sweeping = DynamoStore(client, table, clock=clock, max_queued=100, ended_undelivered=True)
    for n in range(3):
        await sweeping.enqueue(record(clock, f"r{n}"))
    assert await sweeping.count_queued() == 3
    wire = wired(client)
    sandbox = DynamoStore(wire, table, clock=clock, max_queued=5, ended_undelivered=True)
    await sandbox.enqueue(record(clock, "r3"))
    await clock.sleep(100)
    await sandbox.enqueue(record(clock, "r4"))
    assert wire.calls["query"] == 0
    assert await sweeping.count_queued() == 5
    await clock.sleep(COUNT_INTERVAL)
    await refused(sandbox, record(clock, "r5"))


async def test_without_sweeps_one_process_counts_when_the_count_is_too_old(client, table, clock, wired):
    sweeping = DynamoStore(client, table, clock=clock, ended_undelivered=True)
    await sweeping.count_queued()
    wire = wired(client)
    sandbox = DynamoStore(wire, table, clock=clock, ended_undelivered=True)
    await clock.sleep(SWEPT_AGE)
    await sandbox.enqueue(record(clock, "r0"))
    assert wire.calls["query"] == 2


async def test_reads_that_are_throttled_refuse_nobody_even_when_the_queue_was_full(
    client, table, clock, wired, error_of
):
    wire = wired(client)
    store = DynamoStore(wire, table, clock=clock, max_queued=2)
    for n in range(2):
        await store.enqueue(record(clock, f"r{n}"))
    await refused(store, record(clock, "r2"))
    await clock.sleep(FULL_INTERVAL)
    for operation in ("query", "get_item"):
        wire.refuse[operation] = [error_of("ProvisionedThroughputExceededException")] * 100
    assert await store.enqueue(record(clock, "r2")) is None


async def test_only_so_many_owners_are_remembered_as_full(client, table, clock, monkeypatch):
    monkeypatch.setattr(queue_capacity, "MOST_FULL", 1)
    store = DynamoStore(client, table, clock=clock, max_queued_per_owner=1)
    for owner in ("a", "b"):
        await store.enqueue(record(clock, "r0", owner=owner))
    for owner in ("a", "b"):
        await refused(store, record(clock, "r1", owner=owner))
    assert list(store._writer.queue._full_owners) == ["b"]
