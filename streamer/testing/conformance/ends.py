"""Progress, results and errors."""

from __future__ import annotations

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.attempts import LastReport
from streamer.core.errors import LeaseLost
from streamer.core.records import Status, first_seq
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, Suite, lease_of, record


class Ends(Suite):
    """Progress, results and errors."""

    async def test_progress_is_stored_and_never_decreases(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store)
        await store.update_progress(lease_of(claimed), seq=4, percentage=60, message="far", metadata=b'{"n":1}')
        await store.update_progress(lease_of(claimed), seq=5, percentage=20, message="back")
        found = await store.get(claimed.key)
        assert found is not None
        assert (found.percentage, found.message, found.progress_metadata, found.seq) == (60, "back", b"", 5)

    async def test_a_completed_request_stores_its_result_and_is_never_due(
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

    async def test_an_outcome_is_stored_together_with_the_progress_before_it(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for name in ("completed", "silent", "retried", "failed"):
            await store.enqueue(record(clock, id=name))
        completed, silent, retried, failed = [lease_of(one) for one in (await store.claim("w1", 4, LEASE)).records]
        last = LastReport(80, "Writing PDF", b'{"page":9}')
        for lease in (completed, silent, retried, failed):
            await store.update_progress(lease, seq=1, percentage=40, message="Reading", metadata=b'{"page":1}')
        await store.complete(completed, seq=9, result=b"1", progress=last)
        await store.complete(silent, seq=9, result=b"1")
        await store.fail(retried, seq=9, error=BROKEN, retry_at=clock.now() + 5, progress=last)
        await store.fail(failed, seq=9, error=BROKEN, progress=last)
        found = {}
        for lease in (completed, silent, retried, failed):
            stored = await store.get((lease.owner, lease.id))
            assert stored is not None
            found[lease.id] = (stored.percentage, stored.message, stored.progress_metadata)
        assert found == {
            "completed": (100, "Writing PDF", b'{"page":9}'),
            "silent": (100, "Reading", b'{"page":1}'),
            "retried": (80, "Writing PDF", b'{"page":9}'),
            "failed": (80, "Writing PDF", b'{"page":9}'),
        }

    async def test_a_failed_attempt_with_a_retry_time_is_retried_then(
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

    async def test_a_failed_request_stores_its_error(self, store: RequestQueue, clock: ManualClock) -> None:
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

    async def test_an_ended_request_does_not_end_again_with_another_outcome(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        lease = lease_of(await self.claim_one(store))
        await store.complete(lease, seq=1, result=b"1")
        for write in (store.complete(lease, seq=2, result=b"2"), store.fail(lease, seq=2, error=BROKEN)):
            with pytest.raises(LeaseLost):
                await write

    async def test_a_result_after_a_failed_attempt_leaves_no_error(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        await store.fail(lease_of(await self.claim_one(store)), seq=1, error=BROKEN, retry_at=clock.now())
        again = await self.claim_one(store)
        assert again.error == BROKEN
        await store.complete(lease_of(again), seq=first_seq(2) + 1, result=b"1")
        found = await store.get(again.key)
        assert found is not None
        assert (found.status, found.error) == (Status.COMPLETED, None)
