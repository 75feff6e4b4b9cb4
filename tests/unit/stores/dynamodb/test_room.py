"""How many may wait: of everybody together, counted now and then, and of one owner."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import OVERLOADED, Error, StoreUnavailable
from streamer.stores.dynamodb.room import COUNT_INTERVAL, FULL_INTERVAL
from streamer.stores.dynamodb.store import DynamoStore
from streamer.testing.conformance import lease_of, record

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


async def test_room_that_others_made_is_found_within_a_second(client, table, clock):
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


async def test_a_count_that_fails_is_made_again(wire, store, clock, error_of):
    wire.refuse["query"] = [error_of("AccessDeniedException")]
    with pytest.raises(StoreUnavailable):
        await store.enqueue(record(clock))
    assert await store.enqueue(record(clock)) is None


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
    wire.refuse["query"] = [error_of("AccessDeniedException")]
    with pytest.raises(StoreUnavailable):
        await store.enqueue(record(clock, "r5"))


async def test_a_count_of_many_pages_stops_when_it_is_too_many():
    from streamer.dynamodb.calls import Calls
    from streamer.stores.dynamodb.items import Layout
    from streamer.stores.dynamodb.room import QueueRoom
    from streamer.testing import ManualClock

    class Pages:
        asked = 0

        async def query(self, **parameters):
            self.asked += 1
            return {"Count": 40, "LastEvaluatedKey": {"owner": {"S": "o"}}}

    pages, clock = Pages(), ManualClock()
    room = QueueRoom(Calls(pages, "requests", clock), Layout(1, 60.0), clock, 100, None)
    with pytest.raises(Error, match="full"):
        await room.enter(("o", "r1"))
    assert pages.asked == 6
