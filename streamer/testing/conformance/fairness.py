"""Turns among owners, tenants and actions, and the limits of tenants."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.principal import Principal
from streamer.core.records import RequestRecord
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, Suite, lease_of, record


def of_tenant(clock: ManualClock, tenant: str, user: str, number: int) -> RequestRecord:
    """A record of a tenant's user."""
    principal = Principal(user_id=user, tenant_id=tenant)
    return record(clock, f"{tenant}-{user}-{number}", owner=principal.owner, principal=principal)


class Fairness(Suite):
    """Turns among owners, tenants and actions, and the limits of tenants."""

    async def in_turn(self, store: RequestQueue, count: int, **limits: object) -> list[RequestRecord]:
        """The records that a series of claims of one record each return."""
        taken: list[RequestRecord] = []
        for _ in range(count):
            taken += (await store.claim("w1", 1, LEASE, **limits)).records  # type: ignore[arg-type]  # the suite's own
        return taken

    @pytest.mark.parametrize("at_once", [True, False], ids=["in one claim", "in many claims"])
    async def test_owners_take_turns_and_each_keeps_its_order(
        self, store: RequestQueue, clock: ManualClock, at_once: bool
    ) -> None:
        for owner in ("a", "b"):
            for n in range(5):
                await store.enqueue(record(clock, f"{owner}{n}", owner=owner))
        taken = (await store.claim("w1", 10, LEASE)).records if at_once else await self.in_turn(store, 10)
        assert {one.owner for one in taken[:2]} == {"a", "b"}
        assert [one.owner for one in taken[2:]] == [one.owner for one in taken[:-2]]
        for owner in ("a", "b"):
            assert [one.id for one in taken if one.owner == owner] == [f"{owner}{n}" for n in range(5)]

    async def test_a_client_that_queues_many_requests_delays_no_other(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(self.max_queued - 3):
            await store.enqueue(record(clock, f"many{n}", owner="greedy"))
        await self.in_turn(store, 5)
        await clock.advance(1)
        for n in range(3):
            await store.enqueue(record(clock, "one", owner=f"modest{n}"))
        taken = await self.in_turn(store, 4)
        assert {one.owner for one in taken} >= {"modest0", "modest1", "modest2"}

    async def test_a_client_that_cancelled_its_requests_does_not_wait_for_them(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(20):
            await store.enqueue(record(clock, f"a{n}", owner="a"))
            await store.enqueue(record(clock, f"b{n}", owner="b"))
        for n in range(19):
            await store.cancel(("a", f"a{n}"))
        assert "a19" in [one.id for one in await self.in_turn(store, 2)]

    async def test_tenants_take_turns_regardless_of_their_number_of_owners(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for user in range(10):
            for n in range(2):
                await store.enqueue(of_tenant(clock, "large", f"u{user}", n))
        for n in range(5):
            await store.enqueue(of_tenant(clock, "small", "only", n))
        taken = (await store.claim("w1", 10, LEASE)).records
        assert Counter(one.tenant for one in taken) == {"large": 5, "small": 5}
        assert [one.tenant for one in taken[2:]] == [one.tenant for one in taken[:-2]]
        assert len({one.owner for one in taken if one.tenant == "large"}) == 5

    async def test_actions_of_one_priority_take_turns(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(10):
            await store.enqueue(record(clock, f"r{n}", owner="a", action="popular"))
        await clock.advance(1)
        await store.enqueue(record(clock, "rare", owner="b", action="rare"))
        assert "rare" in [one.id for one in await self.in_turn(store, 2)]

    async def test_priority_takes_precedence_over_turns(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(3):
            await store.enqueue(record(clock, f"a{n}", owner="a", priority=1))
            await store.enqueue(record(clock, f"b{n}", owner="b"))
        assert [one.owner for one in await self.in_turn(store, 4)] == ["a", "a", "a", "b"]

    async def test_a_due_retry_uses_only_its_owners_turn(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(6):
            await store.enqueue(record(clock, f"a{n}", owner="a"))
        failing = (await store.claim("w1", 6, LEASE)).records
        await asyncio.gather(
            *(store.fail(lease_of(one), seq=1, error=BROKEN, retry_at=clock.now() + 5) for one in failing)
        )
        await clock.advance(5)
        for n in range(3):
            await store.enqueue(record(clock, f"b{n}", owner="b"))
        await store.enqueue(record(clock, "a6", owner="a"))
        taken = await self.in_turn(store, 10)
        assert Counter(one.owner for one in taken[:6]) == {"a": 3, "b": 3}
        assert [one.id for one in taken if one.owner == "a"] == [f"a{n}" for n in range(7)]

    async def test_expired_leases_go_before_queued_requests(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock, "lost"))
        await self.claim_one(store, "dead")
        for n in range(3):
            await store.enqueue(record(clock, f"r{n}", owner=f"o{n}"))
        await clock.advance(LEASE)
        assert (await store.claim("w1", 1, LEASE)).records[0].id == "lost"

    async def test_only_a_tenant_at_its_limit_is_passed_over(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(3):
            for tenant in ("x", "y", "z"):
                await store.enqueue(of_tenant(clock, tenant, "u", n))
            await store.enqueue(record(clock, f"free{n}"))
        claims = await store.claim("w1", 20, LEASE, tenant_limit=2, tenants={"x": 2, "y": 1})
        assert Counter(one.tenant for one in claims.records) == {"y": 1, "z": 2, "": 3}
        assert claims.next_due == clock.now() + LEASE, (
            "records without capacity must not make a worker claim again immediately"
        )
        again = await store.claim("w1", 20, LEASE, tenant_limit=2, tenants={"y": 1, "z": 2})
        assert Counter(one.tenant for one in again.records) == {"x": 2, "y": 1}

    async def test_a_tenants_limit_includes_expired_leases(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(of_tenant(clock, "x", "u", 1))
        await self.claim_one(store, "dead")
        await clock.advance(LEASE)
        claims = await store.claim("w1", 20, LEASE, tenant_limit=1, tenants={"x": 1})
        assert (claims.records, claims.next_due) == ([], None)
        assert (await store.claim("w1", 0, LEASE, tenant_limit=1)).next_due == clock.now()
        assert len((await store.claim("w1", 20, LEASE, tenant_limit=1)).records) == 1

    async def test_a_due_request_with_a_free_slot_is_due_now(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(of_tenant(clock, "x", "u", 1))
        await clock.advance(5)
        assert (await store.claim("w1", 0, LEASE, tenant_limit=1)).next_due == clock.now()
        assert (await store.claim("w1", 0, LEASE, tenant_limit=1, tenants={"x": 1})).next_due is None
        assert (await store.claim("w1", 0, LEASE, free_slots={"work": 0})).next_due is None

    async def test_a_released_request_is_its_owners_next(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(3):
            await store.enqueue(record(clock, f"r{n}"))
        (first,) = (await store.claim("w1", 1, LEASE)).records
        await store.release([lease_of(first)])
        assert [one.id for one in await self.in_turn(store, 3)] == ["r0", "r1", "r2"]
