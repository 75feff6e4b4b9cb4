"""Cancelling requests and running them again."""

from __future__ import annotations

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.errors import NOT_FOUND, Error, LeaseLost, TransitionRefused
from streamer.core.records import Status, first_seq
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, OWNER, Suite, lease_of, record


class Operators(Suite):
    """Cancelling requests and running them again."""

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

    async def test_ended_requests_cannot_be_cancelled_and_unfinished_ones_not_requeued(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        with pytest.raises(TransitionRefused):
            await store.requeue((OWNER, "r1"))
        await store.complete(lease_of(await self.claim_one(store)), seq=1, result=b"1")
        for refused in (store.cancel((OWNER, "r1")), store.requeue((OWNER, "r1"))):
            with pytest.raises(TransitionRefused):
                await refused

    async def test_a_requeued_request_keeps_its_payload_and_counts_attempts_anew(
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
