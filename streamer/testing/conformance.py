"""The suite that every store must pass.

Outside this project, in a plugin's own tests::

    import pytest
    from streamer.testing import ManualClock, StoreConformance

    class TestMyStore(StoreConformance):
        @pytest.fixture
        async def store(self, clock, tmp_path):
            store = await MyStore.open(tmp_path / "queue", clock=clock, max_queued=self.max_queued)
            yield store
            await store.close()

It needs pytest and pytest-asyncio in auto mode. `max_queued` is small, so that a full queue can be tried.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from streamer.contracts.stores import Lease, RequestQueue
from streamer.core.errors import (
    NOT_FOUND,
    OVERLOADED,
    VALIDATION_ERROR,
    Error,
    LeaseLost,
    StoreUnavailable,
    TransitionRefused,
)
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord, Status, first_seq
from streamer.testing.clock import ManualClock

OWNER = "client:one"
LEASE = 30.0
BROKEN = ErrorBody("BROKEN", "it broke", retryable=True, details={"part": 7})


def record(clock: ManualClock, id: str = "r1", **changes: Any) -> RequestRecord:  # noqa: A002 - the field's name
    """A PENDING record, due now."""
    now = clock.now()
    base = RequestRecord(
        owner=OWNER, id=id, action="work", payload=b'{"a": 1}', created_at=now, updated_at=now, due_at=now
    )
    return msgspec.structs.replace(base, **changes)


def lease_of(claimed: RequestRecord) -> Lease:
    """The claim that a record is under."""
    return Lease(claimed.owner, claimed.id, claimed.fence)


class StoreConformance:
    """Promises of `RequestQueue`, one test each. Subclass it and give it a `store` fixture."""

    max_queued = 50

    @pytest.fixture
    def clock(self) -> ManualClock:
        """What the store must take its time from."""
        return ManualClock()

    async def claim_one(self, store: RequestQueue, worker: str = "w1") -> RequestRecord:
        """The only record that is due, claimed."""
        claims = await store.claim(worker, 10, LEASE)
        assert len(claims.records) == 1
        return claims.records[0]

    # Enqueueing

    async def test_a_new_request_is_stored_as_it_was_given(self, store: RequestQueue, clock: ManualClock) -> None:
        given = record(clock, metadata={"k": "v"}, connection_id="c1", priority=3, max_attempts=5)
        assert await store.enqueue(given) is None
        assert await store.get(given.key) == given

    async def test_the_same_key_again_brings_the_record_that_stood(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        first = record(clock)
        await store.enqueue(first)
        assert await store.enqueue(record(clock, action="other", payload=b"2")) == first
        assert (await store.counts())[Status.PENDING] == 1

    async def test_ids_are_unique_per_owner_only(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        assert await store.enqueue(record(clock, owner="client:two")) is None
        assert {found.owner for found in await store.find("r1")} == {OWNER, "client:two"}
        assert await store.get(("client:three", "r1")) is None

    async def test_of_many_enqueues_of_one_key_at_once_one_is_stored(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        answers = await asyncio.gather(*(store.enqueue(record(clock, payload=b"%d" % n)) for n in range(32)))
        assert answers.count(None) == 1
        stood = await store.get((OWNER, "r1"))
        assert all(answer in (None, stood) for answer in answers)

    async def test_a_full_queue_refuses_with_a_time_to_come_back(self, store: RequestQueue, clock: ManualClock) -> None:
        await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(self.max_queued)))
        with pytest.raises(Error) as refused:
            await store.enqueue(record(clock, "one-more"))
        assert refused.value.code == OVERLOADED
        assert refused.value.details["retry_after_ms"] > 0
        assert await store.get((OWNER, "one-more")) is None

    async def test_a_full_queue_still_knows_what_it_holds(self, store: RequestQueue, clock: ManualClock) -> None:
        await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(self.max_queued)))
        assert await store.enqueue(record(clock, "r0")) is not None

    async def test_a_claim_makes_room_in_a_full_queue(self, store: RequestQueue, clock: ManualClock) -> None:
        await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(self.max_queued)))
        await store.claim("w1", 1, LEASE)
        assert await store.enqueue(record(clock, "one-more")) is None

    # Claiming

    async def test_a_claim_takes_the_record_under_a_new_fence_and_a_lease(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store)
        assert (claimed.status, claimed.fence, claimed.attempts, claimed.worker) == (Status.PROCESSING, 1, 1, "w1")
        assert claimed.due_at == clock.now() + LEASE
        assert claimed.started_at == clock.now()
        assert await store.get(claimed.key) == claimed

    async def test_what_is_claimed_is_not_claimed_again(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        await self.claim_one(store)
        claims = await store.claim("w2", 10, LEASE)
        assert claims.records == []
        assert claims.next_due == clock.now() + LEASE

    async def test_of_32_contenders_one_wins(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        claims = await asyncio.gather(*(store.claim(f"w{n}", 10, LEASE) for n in range(32)))
        assert sum(len(claim.records) for claim in claims) == 1

    async def test_no_more_than_the_limit_is_claimed(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(5):
            await store.enqueue(record(clock, f"r{n}"))
        assert len((await store.claim("w1", 3, LEASE)).records) == 3
        assert len((await store.claim("w1", 0, LEASE)).records) == 0
        assert len((await store.claim("w1", 3, LEASE)).records) == 2

    async def test_higher_priority_goes_first_then_what_waits_longest(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n, priority in enumerate((0, 5, 0, 5)):
            await store.enqueue(record(clock, f"r{n}", priority=priority))
            await clock.advance(1)
        claimed = (await store.claim("w1", 10, LEASE)).records
        assert [one.id for one in claimed] == ["r1", "r3", "r0", "r2"]

    async def test_an_action_without_headroom_waits_and_holds_nobody_up(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(4):
            await store.enqueue(record(clock, f"slow{n}", action="slow"))
        await store.enqueue(record(clock, "quick"))
        claims = await store.claim("w1", 10, LEASE, headroom={"slow": 2})
        assert sorted(one.id for one in claims.records) == ["quick", "slow0", "slow1"]
        claims = await store.claim("w1", 10, LEASE, headroom={"slow": 0})
        assert claims.records == []
        assert claims.next_due is None or claims.next_due > clock.now()

    async def test_nothing_waits_in_an_empty_store(self, store: RequestQueue) -> None:
        claims = await store.claim("w1", 10, LEASE)
        assert (claims.records, claims.abandoned, claims.next_due) == ([], [], None)

    # Leases

    async def test_work_of_a_dead_worker_is_taken_over_when_its_lease_runs_out(
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

    async def test_renewing_names_the_claims_that_were_lost(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock, "kept"))
        await store.enqueue(record(clock, "ended"))
        kept, ended = sorted((await store.claim("w1", 10, LEASE)).records, key=lambda one: one.id, reverse=True)
        await store.complete(lease_of(ended), seq=1, result=b"{}")
        stranger = Lease(OWNER, "never", 1)
        lost = await store.renew([lease_of(kept), lease_of(ended), stranger], LEASE)
        assert sorted(lost) == sorted([lease_of(ended), stranger])

    async def test_a_late_writer_is_refused_everywhere(self, store: RequestQueue, clock: ManualClock) -> None:
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

    async def test_a_request_that_kills_its_worker_again_and_again_ends_as_failed(
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

    async def test_a_released_claim_is_due_at_once_and_its_attempt_does_not_count(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, max_attempts=1))
        claimed = await self.claim_one(store)
        await store.release([lease_of(claimed), Lease(OWNER, "never", 1)])
        again = await self.claim_one(store)
        assert (again.attempts, again.fence) == (1, 2)

    # Progress and ends

    async def test_progress_is_kept_and_never_falls(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store)
        await store.update_progress(lease_of(claimed), seq=4, percentage=60, message="far", metadata=b'{"n":1}')
        await store.update_progress(lease_of(claimed), seq=5, percentage=20, message="back")
        found = await store.get(claimed.key)
        assert found is not None
        assert (found.percentage, found.message, found.progress_metadata, found.seq) == (60, "back", b"", 5)

    async def test_a_completed_request_keeps_its_result_and_is_never_due(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store)
        await clock.advance(2)
        await store.complete(lease_of(claimed), seq=9, result=b'{"success":true}')
        found = await store.get(claimed.key)
        assert found is not None
        assert (found.status, found.result, found.seq) == (Status.COMPLETED, b'{"success":true}', 9)
        assert (found.due_at, found.finished_at, found.percentage) == (None, clock.now(), 100)
        await clock.advance(1000 * LEASE)
        assert (await store.claim("w2", 10, LEASE)).records == []

    async def test_a_failed_attempt_with_a_time_is_tried_again_then(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store)
        await store.fail(lease_of(claimed), seq=1, error=BROKEN, retry_at=clock.now() + 5)
        waiting = await store.get(claimed.key)
        assert waiting is not None
        assert (waiting.status, waiting.error) == (Status.RETRYING, BROKEN)
        early = await store.claim("w1", 10, LEASE)
        assert (early.records, early.next_due) == ([], clock.now() + 5)
        await clock.advance(5)
        again = await self.claim_one(store)
        assert (again.attempts, again.fence, again.percentage) == (2, 2, 0)

    async def test_a_failed_request_keeps_its_error(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store)
        await store.fail(lease_of(claimed), seq=2, error=BROKEN)
        found = await store.get(claimed.key)
        assert found is not None
        assert (found.status, found.error, found.seq, found.due_at) == (Status.FAILED, BROKEN, 2, None)

    async def test_an_outcome_written_twice_by_its_claim_is_written_once(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n, write in enumerate(("complete", "fail", "retry")):
            await store.enqueue(record(clock, f"r{n}"))
            lease = lease_of(await self.claim_one(store))
            for _ in range(2):
                if write == "complete":
                    await store.complete(lease, seq=1, result=b"1")
                elif write == "fail":
                    await store.fail(lease, seq=1, error=BROKEN)
                else:
                    await store.fail(lease, seq=1, error=BROKEN, retry_at=clock.now() + 1000)

    async def test_an_ended_request_does_not_end_again_otherwise(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        lease = lease_of(await self.claim_one(store))
        await store.complete(lease, seq=1, result=b"1")
        for write in (store.complete(lease, seq=2, result=b"2"), store.fail(lease, seq=2, error=BROKEN)):
            with pytest.raises(LeaseLost):
                await write

    # What operators do

    async def test_a_queued_and_a_running_request_can_be_cancelled(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, "running"))
        running = await self.claim_one(store)
        await store.enqueue(record(clock, "queued"))
        for key in (running.key, (OWNER, "queued")):
            ended = await store.cancel(key, "not needed")
            assert (ended.status, ended.due_at) == (Status.CANCELLED, None)
            assert ended.error is not None
            assert (ended.error.code, ended.error.message) == ("CANCELLED", "not needed")
            assert await store.get(key) == ended
        with pytest.raises(LeaseLost):
            await store.complete(lease_of(running), seq=1, result=b"1")
        assert (await store.claim("w1", 10, LEASE)).records == []

    async def test_what_has_ended_cannot_be_cancelled_and_what_has_not_cannot_be_requeued(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        with pytest.raises(TransitionRefused):
            await store.requeue((OWNER, "r1"))
        await store.complete(lease_of(await self.claim_one(store)), seq=1, result=b"1")
        for refused in (store.cancel((OWNER, "r1")), store.requeue((OWNER, "r1"))):
            with pytest.raises(TransitionRefused):
                await refused

    async def test_a_failed_request_runs_again_with_its_whole_payload_and_a_new_count(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        failed = await self.claim_one(store)
        await store.fail(lease_of(failed), seq=3, error=BROKEN)
        queued = await store.requeue(failed.key)
        assert (queued.status, queued.attempts, queued.error) == (Status.PENDING, 0, None)
        again = await self.claim_one(store)
        assert (again.attempts, again.payload) == (1, b'{"a": 1}')
        assert first_seq(again.fence) >= 3

    async def test_an_unknown_request_is_not_found(self, store: RequestQueue) -> None:
        for asked in (store.cancel((OWNER, "never")), store.requeue((OWNER, "never"))):
            with pytest.raises(Error) as refused:
                await asked
            assert refused.value.code == NOT_FOUND
        assert await store.get((OWNER, "never")) is None
        assert await store.find("never") == []

    # Telling

    async def test_what_has_not_ended_or_was_not_told_is_unsettled(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for name in ("told", "untold", "waiting"):
            await store.enqueue(record(clock, name))
            await clock.advance(1)
        await store.enqueue(record(clock, "foreign", owner="client:two"))
        for name in ("told", "untold"):
            await store.cancel((OWNER, name))
        await store.mark_delivered([(OWNER, "told"), (OWNER, "waiting"), (OWNER, "never")])
        assert [one.id for one in await store.unsettled(OWNER)] == ["untold", "waiting"]
        assert [one.id for one in await store.unsettled(OWNER, limit=1)] == ["untold"]
        told = await store.get((OWNER, "told"))
        assert told is not None
        assert told.delivered_at == clock.now()

    async def test_telling_twice_changes_nothing_and_running_again_is_to_be_told_again(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        await store.cancel((OWNER, "r1"))
        await store.mark_delivered([(OWNER, "r1")])
        first = await store.get((OWNER, "r1"))
        await clock.advance(5)
        await store.mark_delivered([(OWNER, "r1")])
        assert await store.get((OWNER, "r1")) == first
        await store.requeue((OWNER, "r1"))
        assert [one.id for one in await store.unsettled(OWNER)] == ["r1"]

    # Looking

    async def test_a_listing_goes_from_new_to_old_in_pages_that_neither_repeat_nor_skip(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for n in range(25):
            await store.enqueue(record(clock, f"r{n:02}"))
            if n % 3:
                await clock.advance(1)
        seen: list[str] = []
        cursor = None
        while True:
            page = await store.list(limit=7, cursor=cursor)
            seen += [one.id for one in page.records]
            if page.cursor is None:
                break
            cursor = page.cursor
            # What comes in between is newer than all that is still to be listed.
            await clock.advance(1)
            await store.enqueue(record(clock, f"late{len(seen)}"))
        assert seen == [f"r{n:02}" for n in reversed(range(25))]

    async def test_a_listing_can_be_narrowed(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock, "a", action="one"))
        await store.enqueue(record(clock, "b", action="two"))
        await store.enqueue(record(clock, "c", action="two", owner="client:two"))
        await store.cancel((OWNER, "b"))
        assert {one.id for one in (await store.list(owner=OWNER)).records} == {"a", "b"}
        assert {one.id for one in (await store.list(action="two")).records} == {"b", "c"}
        assert {one.id for one in (await store.list(status=Status.CANCELLED)).records} == {"b"}
        assert (await store.list(owner="client:none")).records == []

    async def test_a_cursor_of_somebody_else_is_refused(self, store: RequestQueue) -> None:
        with pytest.raises(Error) as refused:
            await store.list(cursor="not one of ours")
        assert refused.value.code == VALIDATION_ERROR

    async def test_counts_name_every_state(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock, "a"))
        await store.enqueue(record(clock, "b"))
        await store.cancel((OWNER, "b"))
        counts = await store.counts()
        assert set(counts) == set(Status)
        assert (counts[Status.PENDING], counts[Status.CANCELLED], counts[Status.FAILED]) == (1, 1, 0)

    async def test_purging_takes_what_ended_before_and_nothing_else(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for name in ("old", "new", "waiting"):
            await store.enqueue(record(clock, name))
        await store.cancel((OWNER, "old"))
        await clock.advance(100)
        await store.cancel((OWNER, "new"))
        assert await store.purge(clock.now() - 50) == 1
        assert {one.id for one in (await store.list()).records} == {"new", "waiting"}
        assert await store.purge(clock.now() - 50) == 0

    async def test_a_closed_store_says_so(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.enqueue(record(clock))
        with pytest.raises(StoreUnavailable):
            await store.claim("w1", 1, LEASE)
        await store.close()

    async def test_a_store_that_works_has_not_failed(self, store: RequestQueue) -> None:
        failed = asyncio.ensure_future(store.failed())
        await store.counts()
        assert not failed.done()
        failed.cancel()
