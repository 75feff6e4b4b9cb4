"""A queue that no single owner can fill."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import OVERLOADED, Error
from streamer.core.principal import Principal
from streamer.core.records import Status
from streamer.stores.memory import MemoryStore
from streamer.stores.sqlite import SqliteStore
from streamer.testing import ManualClock
from streamer.testing.conformance import lease_of, record
from streamer.testing.conformance.records import BROKEN

pytestmark = pytest.mark.service  # it starts writers of SQLite


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, clock, tmp_path):
    limits = {"clock": clock, "max_queued": 5, "max_queued_per_owner": 2, "max_queued_per_address": 3}
    if request.param == "memory":
        store = MemoryStore(**limits)
    else:
        store = await SqliteStore.open(tmp_path / "queue.db", **limits)
    yield store
    await store.close()


async def refused(store, given):
    with pytest.raises(Error) as caught:
        await store.enqueue(given)
    assert caught.value.code == OVERLOADED
    assert caught.value.details["retry_after_ms"] > 0
    return caught.value


async def test_who_has_as_many_as_one_may_have_is_told_so_and_nobody_else_is(store, clock):
    for n in range(2):
        await store.enqueue(record(clock, f"r{n}"))
    problem = await refused(store, record(clock, "r2"))
    assert problem.message.startswith("2 of your requests are waiting")
    assert problem.details["max_queued_per_owner"] == 2
    assert await store.enqueue(record(clock, "r2", owner="client:two")) is None


async def test_an_address_has_a_share_whatever_its_clients_call_themselves(store, clock):
    for n in range(3):
        assert await store.enqueue(record(clock, "r", owner=f"client:{n}", address="block")) is None
    problem = await refused(store, record(clock, "r", owner="client:more", address="block"))
    assert problem.message.startswith("3 requests from your address are waiting")
    assert problem.details["max_queued_per_address"] == 3
    assert await store.enqueue(record(clock, "r", owner="client:more", address="another")) is None
    assert (await store.get(("client:0", "r"))).address == "block"


async def test_with_authentication_an_address_has_no_share(store, clock):
    for n in range(5):
        principal = Principal(user_id=f"u{n}", tenant_id="")
        given = record(clock, "r", owner=principal.owner, principal=principal, address="block")
        assert await store.enqueue(given) is None


async def test_what_no_longer_waits_leaves_the_address_room_and_what_is_tried_again_does_not(store, clock):
    for n in range(3):
        await store.enqueue(record(clock, "r", owner=f"client:{n}", address="block"))
    more = record(clock, "r", owner="client:more", address="block")
    first, second = (await store.claim("w", 2, 30.0)).records
    await store.fail(lease_of(first), seq=1, error=BROKEN, retry_at=clock.now() + 5)
    await store.fail(lease_of(second), seq=1, error=BROKEN, retry_at=clock.now() + 5)
    await refused(store, more)
    await clock.advance(5)
    await store.claim("w", 0, 30.0)
    await refused(store, more)
    await store.cancel(first.key)
    assert await store.enqueue(more) is None
    await refused(store, record(clock, "s", owner="client:more", address="block"))


async def test_clients_of_one_address_take_turns_with_those_of_another_as_one(store, clock):
    for owner, address in (("a", "block"), ("b", "block"), ("c", "other")):
        await store.enqueue(record(clock, owner, owner=f"client:{owner}", address=address))
    assert [one.id for one in (await store.claim("w", 2, 30.0, tenant_limit=1)).records] == ["a", "c"]
    assert [one.id for one in (await store.claim("w", 2, 30.0, tenant_limit=1)).records] == ["b"]


async def test_the_whole_queues_limit_is_told_as_what_it_is(store, clock):
    for n in range(5):
        await store.enqueue(record(clock, "r", owner=f"client:{n}"))
    assert (await refused(store, record(clock, owner="client:more"))).message.startswith("The queue is full")


async def test_a_resend_of_what_is_stored_is_no_new_request(store, clock):
    for n in range(2):
        await store.enqueue(record(clock, f"r{n}"))
    stored = (await store.enqueue(record(clock, "r1"))).request
    assert (stored.id, stored.status) == ("r1", Status.PENDING)


async def test_what_waits_in_any_way_counts_and_what_runs_or_has_ended_does_not(store, clock):
    for n in range(2):
        await store.enqueue(record(clock, f"r{n}"))
    first, second = (await store.claim("w", 2, 30.0)).records
    for n in range(2, 4):
        assert await store.enqueue(record(clock, f"r{n}")) is None
    await store.fail(lease_of(first), seq=1, error=BROKEN, retry_at=clock.now() + 5)
    await store.complete(lease_of(second), seq=1, result=b"1")
    await store.cancel(("client:one", "r2"))
    await refused(store, record(clock, "r4"))
    await clock.advance(5)
    await store.claim("w", 0, 30.0)
    await refused(store, record(clock, "r4"))
    assert len((await store.claim("w", 1, 30.0)).records) == 1
    assert await store.enqueue(record(clock, "r4")) is None


async def test_what_expires_makes_room(store, clock):
    for n in range(2):
        await store.enqueue(record(clock, f"r{n}", expires_at=clock.now() + 1))
    await clock.advance(1)
    await store.claim("w", 0, 30.0)
    assert await store.enqueue(record(clock, "r2")) is None


async def test_a_new_start_and_an_operator_beside_it_count_anew(clock, tmp_path):
    limits = {"clock": clock, "max_queued_per_owner": 2, "max_queued_per_address": 2}
    store = await SqliteStore.open(tmp_path / "queue.db", **limits)
    await store.enqueue(record(clock, "r0", address="block"))
    await store.fail(
        lease_of((await store.claim("w", 1, 30.0)).records[0]), seq=1, error=BROKEN, retry_at=clock.now() + 9
    )
    await store.enqueue(record(clock, "r1", address="block"))
    await store.close()
    store = await SqliteStore.open(tmp_path / "queue.db", **limits)
    await refused(store, record(clock, "r2"))
    await refused(store, record(clock, "r2", owner="client:two", address="block"))
    operator = await SqliteStore.open(tmp_path / "queue.db", clock=clock, operator=True)
    await operator.cancel(("client:one", "r0"))
    await operator.close()
    assert await store.enqueue(record(clock, "r2", address="block")) is None
    await refused(store, record(clock, "r3"))
    await refused(store, record(clock, "r3", owner="client:two", address="block"))
    await store.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_ten_thousand_of_one_owner_do_not_delay_anothers_one_beyond_its_share(kind, clock, tmp_path):
    store = MemoryStore(clock) if kind == "memory" else await SqliteStore.open(tmp_path / "queue.db", clock=clock)
    await asyncio.gather(*(store.enqueue(record(clock, f"r{n}", owner="greedy")) for n in range(10_000)))
    assert {one.owner for one in (await store.claim("w", 64, 30.0)).records} == {"greedy"}
    await clock.advance(1)
    for n in range(3):
        await store.enqueue(record(clock, f"m{n}", owner="modest"))
    taken = (await store.claim("w", 6, 30.0)).records
    assert [one.id for one in taken if one.owner == "modest"] == ["m0", "m1", "m2"]
    await store.close()
