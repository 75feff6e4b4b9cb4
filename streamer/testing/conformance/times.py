"""Requests that expire, and clocks that are changed."""

from __future__ import annotations

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.attempts import Outcome
from streamer.core.records import RequestRecord, Status, rebase_clock
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, Suite, lease_of, record


class Times(Suite):
    """Requests that expire, and clocks that are changed."""

    async def ended(self, store: RequestQueue, **limits: object) -> list[RequestRecord]:
        """The records that a claim ended, which must have claimed none."""
        claims = await store.claim("w1", 10, LEASE, **limits)  # type: ignore[arg-type]  # the suite's own
        assert claims.records == []
        return claims.abandoned

    async def test_an_expired_request_fails_and_is_returned_once(self, store: RequestQueue, clock: ManualClock) -> None:
        given = record(clock, expires_at=clock.now() + 5)
        await store.enqueue(given)
        await clock.advance(5)
        (ended,) = await self.ended(store)
        assert (ended.status, ended.due_at, ended.finished_at) == (Status.FAILED, None, clock.now())
        assert ended.error is not None
        assert (ended.error.code, ended.error.retryable) == ("TIMEOUT", True)
        assert await store.get(given.key) == ended
        assert await self.ended(store) == []

    async def test_a_request_can_start_until_it_expires(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock, expires_at=clock.now() + 5))
        await clock.advance(4.5)
        claimed = await self.claim_one(store)
        await clock.advance(LEASE - 1)
        assert await self.ended(store) == [], "a running request does not expire"
        await store.complete(lease_of(claimed), seq=1, result=b"1")

    @pytest.mark.parametrize(
        ("limit", "limits"), [(0, {}), (5, {"free_slots": {"work": 0}}), (5, {"tenant_limit": 0})], ids=str
    )
    async def test_an_expired_request_ends_even_if_nothing_can_be_claimed(
        self, store: RequestQueue, clock: ManualClock, limit: int, limits: dict[str, object]
    ) -> None:
        await store.enqueue(record(clock, "late", expires_at=clock.now() + 1))
        await clock.advance(2)
        claims = await store.claim("w1", limit, LEASE, **limits)  # type: ignore[arg-type]  # the test's own
        assert [one.id for one in claims.abandoned] == ["late"]
        assert (await store.counts())[Status.FAILED] == 1

    async def test_retries_and_requests_without_a_worker_expire_too(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, "retrying", expires_at=clock.now() + LEASE))
        failing = await self.claim_one(store)
        await store.fail(lease_of(failing), seq=1, error=BROKEN, retry_at=clock.now() + 1000)
        await store.enqueue(record(clock, "lost", expires_at=clock.now() + LEASE))
        await self.claim_one(store, "dead")
        await clock.advance(LEASE)
        ended = {one.id: one for one in await self.ended(store)}
        assert [one.outcome for one in ended["retrying"].history] == [Outcome.FAILED]
        assert [one.outcome for one in ended["lost"].history] == [Outcome.LOST]

    async def test_an_expired_request_frees_its_place_and_can_be_requeued(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(self.max_queued):
            await store.enqueue(record(clock, f"r{n}", expires_at=clock.now() + 1))
        await clock.advance(1)
        assert len(await self.ended(store)) == self.max_queued
        assert await store.enqueue(record(clock, "new")) is None
        again = await store.requeue(("client:one", "r0"))
        assert again.expires_at is None
        assert {one.id for one in (await store.claim("w1", 10, LEASE)).records} == {"r0", "new"}

    async def test_a_clock_set_back_delays_no_retries_leases_or_new_requests(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, "retrying"))
        await store.fail(lease_of(await self.claim_one(store)), seq=1, error=BROKEN, retry_at=clock.now() + 5)
        await store.enqueue(record(clock, "running"))
        await self.claim_one(store, "dead")
        await store.enqueue(record(clock, "waiting", owner="client:two"))
        clock.jump(-3600)
        assert [one.id for one in (await store.claim("w1", 10, LEASE)).records] == ["waiting"]
        if not self.one_clock:
            return
        await clock.advance(5)
        assert [one.id for one in (await store.claim("w1", 10, LEASE)).records] == ["retrying"]
        await clock.advance(LEASE - 5)
        assert "running" in {one.id for one in (await store.claim("w1", 10, LEASE)).records}

    async def test_a_clock_set_back_rebases_each_record(self, store: RequestQueue, clock: ManualClock) -> None:
        await clock.advance(100)
        await store.enqueue(record(clock, "before"))
        await self.claim_one(store)
        await clock.advance(100)
        await store.enqueue(record(clock, "after"))
        await store.fail(lease_of((await store.claim("w1", 10, LEASE)).records[-1]), seq=1, error=BROKEN)
        await store.enqueue(record(clock, "running"))
        await self.claim_one(store)
        await store.enqueue(record(clock, "expiring", expires_at=clock.now() + 60))
        await store.enqueue(record(clock, "waiting"))
        known = {one.id: one for one in await self.whole(store)}
        clock.jump(-50)
        await store.claim("w1", 0, LEASE)
        for one in await self.whole(store):
            assert one == (rebase_clock(known[one.id], clock.now()) if self.one_clock else known[one.id])

    async def test_a_small_correction_of_the_clock_changes_nothing(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, "running"))
        running = await self.claim_one(store)
        clock.jump(-0.9)
        await store.enqueue(record(clock, "new"))
        assert [one.id for one in (await store.claim("w1", 10, LEASE)).records] == ["new"]
        found = await store.get(running.key)
        assert found is not None
        assert found.due_at == running.due_at

    async def test_a_due_retry_waits_again_if_the_clock_is_set_back(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        await store.fail(lease_of(await self.claim_one(store)), seq=1, error=BROKEN, retry_at=clock.now() + 60)
        await clock.advance(60)
        assert (await store.claim("w1", 0, LEASE)).next_due == clock.now()
        assert (await store.claim("w1", 0, LEASE, free_slots={"work": 0})).next_due is None
        clock.jump(-30)
        claims = await store.claim("w1", 10, LEASE)
        assert (claims.records, claims.next_due) == ([], clock.now() + 30)
        await clock.advance(30)
        await self.claim_one(store)
