"""How far a claim reads, and what a long queue of one owner does to the others."""

from __future__ import annotations

import pytest

from streamer.core.principal import Principal
from streamer.testing.conformance import lease_of, record
from streamer_aws.store import scanner

LEASE = 30.0


@pytest.fixture(autouse=True)
def short_pages(monkeypatch):
    monkeypatch.setattr(scanner, "PAGE", 5)


async def fill(store, clock, count, **changes):
    for n in range(count):
        await store.enqueue(
            record(clock, f"{changes.get('owner', 'a')}-{changes.get('action', 'work')}-{n}", **changes)
        )


async def queries(wire, claim):
    before = wire.calls["query"]
    claims = await claim
    return wire.calls["query"] - before, claims


async def test_a_long_line_of_one_owner_is_left_behind_for_the_next(wire, store, clock):
    await fill(store, clock, 60, owner="greedy")
    await fill(store, clock, 1, owner="modest0")
    await fill(store, clock, 1, owner="modest1")
    count, claims = await queries(wire, store.claim("w1", 3, LEASE))
    assert {one.owner for one in claims.records} == {"greedy", "modest0", "modest1"}
    assert count <= scanner.PAGES + 2


async def test_an_action_without_headroom_is_stepped_over_however_much_of_it_waits(wire, store, clock):
    await fill(store, clock, 60, action="slow")
    await fill(store, clock, 2, action="quick")
    count, claims = await queries(wire, store.claim("w1", 5, LEASE, free_slots={"slow": 0}))
    assert [one.action for one in claims.records] == ["quick", "quick"]
    assert count <= scanner.PAGES + 2


async def test_a_tenant_without_room_is_stepped_over_however_much_of_it_waits(wire, store, clock):
    for user in range(20):
        principal = Principal(user_id=f"u{user}", tenant_id="full")
        await fill(store, clock, 2, owner=principal.owner, principal=principal)
    principal = Principal(user_id="only", tenant_id="free")
    await fill(store, clock, 1, owner=principal.owner, principal=principal)
    _, claims = await queries(wire, store.claim("w1", 5, LEASE, tenant_limit=1, tenants={"full": 1}))
    assert [one.tenant for one in claims.records] == ["free"]


async def test_the_most_urgent_is_seen_whatever_stands_behind_it(wire, store, clock):
    for owner in range(60):
        await fill(store, clock, 1, owner=f"o{owner}")
    await fill(store, clock, 1, owner="late", priority=1)
    _, claims = await queries(wire, store.claim("w1", 1, LEASE))
    assert [one.owner for one in claims.records] == ["late"]


async def test_more_owners_than_a_claim_sees_all_have_their_turn_in_a_few(wire, store, clock):
    for owner in range(60):
        await fill(store, clock, 2, owner=f"o{owner:02}")
    served = set()
    for _ in range(20):
        count, claims = await queries(wire, store.claim("w1", 6, LEASE))
        assert count <= 2 * scanner.PAGES + 1
        served |= {one.owner for one in claims.records}
    assert len(served) == 60


async def test_going_on_where_the_last_claim_stopped_steps_over_nothing_more_urgent(wire, store, clock):
    for owner in range(8):
        await fill(store, clock, 1, owner=f"urgent{owner}", priority=5)
    for owner in range(30):
        await fill(store, clock, 1, owner=f"o{owner}")
    await store.claim("w1", 1, LEASE)
    assert [one.priority for one in (await store.claim("w1", 9, LEASE)).records] == [5] * 7 + [0] * 2


async def test_what_is_due_and_has_no_room_does_not_hide_what_is_due_later(wire, store, clock):
    await fill(store, clock, 50, action="slow", max_attempts=5)
    for one in (await store.claim("w1", 50, LEASE)).records:
        await store.fail(lease_of(one), seq=1, error=None, retry_at=clock.now())
    await fill(store, clock, 1, action="quick")
    (quick,) = (await store.claim("w1", 5, LEASE, free_slots={"slow": 0})).records
    await store.fail(lease_of(quick), seq=1, error=None, retry_at=clock.now() + 1)
    clock.jump(1)
    taken = []
    for _ in range(10):
        taken += (await store.claim("w1", 5, LEASE, free_slots={"slow": 0})).records
    assert [one.action for one in taken] == ["quick"]


async def test_what_expired_behind_what_a_claim_sees_ends_within_a_second(wire, store, clock):
    await fill(store, clock, 60, owner="greedy", priority=1)
    for n in range(3):
        await store.enqueue(record(clock, f"late{n}", owner="late", expires_at=clock.now() + 1))
    await store.claim("w1", 1, LEASE)
    clock.jump(1)
    claims = await store.claim("w1", 1, LEASE)
    assert {one.id for one in claims.abandoned} == {"late0", "late1", "late2"}
