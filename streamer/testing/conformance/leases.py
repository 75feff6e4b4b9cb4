"""Leases that expire, are renewed, returned or claimed by another worker."""

from __future__ import annotations

import pytest

from streamer.contracts.stores import Lease, RequestQueue
from streamer.core.errors import LeaseLost
from streamer.core.records import Status, first_seq
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, OWNER, Suite, lease_of, record


class Leases(Suite):
    """Leases that expire, are renewed, returned or claimed by another worker."""

    async def test_the_requests_of_a_dead_worker_are_taken_over_when_the_lease_expires(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        dead = await self.claim_one(store, "dead")
        await clock.advance(LEASE)
        taken = await self.claim_one(store, "alive")
        assert (taken.fence, taken.attempts, taken.worker) == (dead.fence + 1, 2, "alive")
        assert first_seq(taken.fence) > first_seq(dead.fence)

    async def test_a_renewed_lease_is_not_taken_over(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store)
        await clock.advance(LEASE - 1)
        assert await store.renew([lease_of(claimed)], LEASE) == []
        await clock.advance(LEASE - 1)
        assert (await store.claim("w2", 10, LEASE)).records == []

    async def test_renewing_returns_the_lost_claims(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock, "kept"))
        await store.enqueue(record(clock, "ended"))
        kept, ended = sorted((await store.claim("w1", 10, LEASE)).records, key=lambda one: one.id, reverse=True)
        await store.complete(lease_of(ended), seq=1, result=b"{}")
        stranger = Lease(OWNER, "never", 1)
        lost = await store.renew([lease_of(kept), lease_of(ended), stranger], LEASE)
        assert sorted(lost) == sorted([lease_of(ended), stranger])

    async def test_a_worker_without_its_claim_cannot_write(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        late = lease_of(await self.claim_one(store, "late"))
        await clock.advance(LEASE)
        newer = await self.claim_one(store, "newer")
        for write in (
            store.complete(late, seq=1, result=b"1"),
            store.fail(late, seq=1, error=BROKEN),
            store.fail(late, seq=1, error=BROKEN, retry_at=clock.now()),
            store.update_progress(late, seq=1, percentage=50),
        ):
            with pytest.raises(LeaseLost):
                await write
        await store.release([late])
        assert await store.get(newer.key) == newer

    async def test_a_request_that_kills_its_worker_repeatedly_ends_as_failed(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, max_attempts=2))
        for _ in range(2):
            await self.claim_one(store)
            await clock.advance(LEASE)
        claims = await store.claim("w1", 10, LEASE)
        assert claims.records == []
        (abandoned,) = claims.abandoned
        assert (abandoned.status, abandoned.due_at) == (Status.FAILED, None)
        assert abandoned.error is not None
        assert abandoned.seq > first_seq(abandoned.fence)
        assert await store.get(abandoned.key) == abandoned
        assert (await store.claim("w1", 10, LEASE)).abandoned == []

    async def test_takeovers_fill_the_free_slots_and_do_not_delay_new_requests(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(3):
            await store.enqueue(record(clock, f"lost{n}"))
        assert len((await store.claim("dead", 10, LEASE)).records) == 3
        await clock.advance(LEASE)
        await store.enqueue(record(clock, "new"))
        claims = await store.claim("w1", 10, LEASE, lost_limit=1)
        assert sorted(one.id[:4] for one in claims.records) == ["lost", "new"]
        # Records that may not be claimed yet are no reason to claim again immediately.
        assert claims.next_due == clock.now() + LEASE
        full = await store.claim("w1", 10, LEASE, lost_limit=0, lost_running=1)
        assert (full.records, full.abandoned, full.next_due) == ([], [], clock.now() + LEASE)
        assert (await store.claim("w1", 0, LEASE)).next_due == clock.now()
        assert len((await store.claim("w1", 10, LEASE, lost_limit=5, lost_running=1)).records) == 2

    async def test_a_request_in_its_last_attempt_is_taken_over_alone(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(3):
            await store.enqueue(record(clock, f"last{n}", max_attempts=2))
        await store.enqueue(record(clock, "spare", max_attempts=3))
        assert len((await store.claim("dead", 10, LEASE)).records) == 4
        await clock.advance(LEASE)
        (first,) = (await store.claim("w1", 10, LEASE, lost_limit=4)).records
        assert first.id == "spare"
        none = await store.claim("w1", 10, LEASE, lost_limit=3, lost_running=1)
        assert (none.records, none.next_due) == ([], clock.now() + LEASE)
        await store.complete(lease_of(first), seq=1, result=b"1")
        for _ in range(3):
            (alone,) = (await store.claim("w1", 10, LEASE, lost_limit=4)).records
            await store.complete(lease_of(alone), seq=1, result=b"1")

    async def test_a_released_claim_is_due_immediately_and_its_attempt_does_not_count(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, max_attempts=1))
        claimed = await self.claim_one(store)
        await store.release([lease_of(claimed), Lease(OWNER, "never", 1)])
        again = await self.claim_one(store)
        assert (again.attempts, again.fence) == (1, 2)

    async def test_many_claims_are_renewed_and_released_in_one_call(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(4):
            await store.enqueue(record(clock, f"r{n}"))
        claimed = (await store.claim("w1", 10, LEASE)).records
        assert await store.renew([lease_of(one) for one in claimed], 2 * LEASE) == []
        for one in claimed:
            found = await store.get(one.key)
            assert found is not None
            assert found.due_at == clock.now() + 2 * LEASE
        await store.release([lease_of(one) for one in claimed[:2]])
        again = (await store.claim("w2", 10, LEASE)).records
        assert {one.id for one in again} == {one.id for one in claimed[:2]}
        assert await store.renew([], LEASE) == []
        await store.release([])

    async def test_a_claim_of_an_unknown_request_is_lost(self, store: RequestQueue) -> None:
        never = Lease(OWNER, "never", 1)
        for write in (
            store.complete(never, seq=1, result=b"1"),
            store.fail(never, seq=1, error=BROKEN),
            store.update_progress(never, seq=1, percentage=50),
        ):
            with pytest.raises(LeaseLost):
                await write
