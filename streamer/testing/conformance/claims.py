"""Claims: which records are due, in what order, under which limits."""

from __future__ import annotations

import asyncio

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.records import Status
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, Suite, lease_of, record


class Claims(Suite):
    """Claims: which records are due, in what order, under which limits."""

    async def test_a_claim_gives_the_record_a_new_fencing_token_and_a_lease(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store)
        assert (claimed.status, claimed.fence, claimed.attempts, claimed.worker) == (Status.PROCESSING, 1, 1, "w1")
        assert claimed.due_at == clock.now() + LEASE
        assert claimed.started_at == clock.now()
        assert await store.get(claimed.key) == claimed

    async def test_a_claimed_request_is_not_claimed_again(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        await self.claim_one(store)
        claims = await store.claim("w2", 10, LEASE)
        assert claims.records == []
        assert claims.next_due == clock.now() + LEASE

    async def test_only_one_of_32_workers_claims_a_request(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        claims = await asyncio.gather(*(store.claim(f"w{n}", 10, LEASE) for n in range(32)))
        assert sum(len(claim.records) for claim in claims) == 1

    async def test_no_more_than_the_limit_is_claimed(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(5):
            await store.enqueue(record(clock, f"r{n}"))
        assert len((await store.claim("w1", 3, LEASE)).records) == 3
        assert len((await store.claim("w1", 0, LEASE)).records) == 0
        assert len((await store.claim("w1", 3, LEASE)).records) == 2

    async def test_higher_priority_goes_first_then_the_longest_wait(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n, priority in enumerate((0, 5, 0, 5)):
            await store.enqueue(record(clock, f"r{n}", priority=priority))
            await clock.advance(1)
        claimed = (await store.claim("w1", 10, LEASE)).records
        assert [one.id for one in claimed] == ["r1", "r3", "r0", "r2"]

    async def test_an_action_without_free_slots_waits_and_delays_no_other(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(4):
            await store.enqueue(record(clock, f"slow{n}", action="slow"))
        await store.enqueue(record(clock, "quick"))
        claims = await store.claim("w1", 10, LEASE, free_slots={"slow": 2})
        assert sorted(one.id for one in claims.records) == ["quick", "slow0", "slow1"]
        claims = await store.claim("w1", 10, LEASE, free_slots={"slow": 0})
        assert claims.records == []
        assert claims.next_due is None or claims.next_due > clock.now()

    async def test_a_claim_in_an_empty_store_returns_nothing(self, store: RequestQueue) -> None:
        claims = await store.claim("w1", 10, LEASE)
        assert (claims.records, claims.abandoned, claims.next_due) == ([], [], None)

    async def test_abandoned_requests_do_not_delay_runnable_ones(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(5):
            await store.enqueue(record(clock, f"deadly{n}", max_attempts=1))
        await store.claim("dead", 5, LEASE)
        await clock.advance(LEASE)
        await store.enqueue(record(clock, "harmless"))
        claims = await store.claim("w1", 1, LEASE)
        assert [one.id for one in claims.records] == ["harmless"]
        assert {one.id for one in claims.abandoned} == {f"deadly{n}" for n in range(5)}

    @pytest.mark.parametrize(("limit", "free_slots"), [(0, None), (5, {"work": 0})])
    async def test_requests_are_abandoned_even_if_none_can_be_claimed(
        self, store: RequestQueue, clock: ManualClock, limit: int, free_slots: dict[str, int] | None
    ) -> None:
        await store.enqueue(record(clock, "deadly", max_attempts=1))
        await store.claim("dead", 5, LEASE)
        await store.enqueue(record(clock, "earlier"))
        await clock.advance(LEASE)
        claims = await store.claim("w1", limit, LEASE, free_slots=free_slots)
        assert claims.records == []
        assert [one.id for one in claims.abandoned] == ["deadly"]

    async def test_every_claim_returns_when_the_next_request_is_due(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        now = clock.now()
        for action, seconds in (("work2", 5), ("work3", 9)):
            await store.enqueue(record(clock, action, action=action))
            await store.fail(lease_of(await self.claim_one(store)), seq=1, error=BROKEN, retry_at=now + seconds)
        for action in ("work0", "work1"):
            await store.enqueue(record(clock, action, action=action))
        assert (await store.claim("w1", 1, 2.0)).next_due == now
        assert (await store.claim("w1", 1, 2.0)).next_due == now + 2
        assert (await store.claim("w1", 0, LEASE, free_slots={"work0": 0, "work1": 0})).next_due == now + 5
        assert (await store.claim("w1", 0, LEASE, free_slots={"work0": 0, "work1": 0, "work2": 0})).next_due == now + 9

    async def test_free_slots_go_to_the_most_urgent_request_of_the_action(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, "late"))
        await clock.advance(1)
        await store.enqueue(record(clock, "urgent", priority=9))
        claims = await store.claim("w1", 10, LEASE, free_slots={"work": 1})
        assert [one.id for one in claims.records] == ["urgent"]
        assert claims.next_due is None

    async def test_a_negative_number_of_free_slots_counts_as_zero(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        assert (await store.claim("w1", 10, LEASE, free_slots={"work": -1})).records == []
