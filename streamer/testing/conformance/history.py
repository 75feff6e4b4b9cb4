"""The principal, and the history of attempts."""

from __future__ import annotations

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.attempts import MAX_HISTORY, MAX_TRACEBACKS, Attempt, Cause, Outcome
from streamer.core.errors import LeaseLost
from streamer.core.principal import Principal
from streamer.core.records import Status
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, Suite, lease_of, record


class History(Suite):
    """The principal, and the history of attempts."""

    async def test_the_principal_is_returned_unchanged_in_every_status(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        principal = Principal(
            user_id="ü/1",
            tenant_id="t 1",
            permissions=frozenset({"read", "write"}),
            expires_at=clock.now() + 0.125,
            claims={"roles": ["a", {"b": None}], "n": 1.5},
        )
        given = record(clock, owner=principal.owner, principal=principal, expires_at=clock.now() + 0.123456789)
        await store.enqueue(given)
        assert await store.get(given.key) == given
        claimed = await self.claim_one(store)
        assert (claimed.principal, claimed.tenant, claimed.expires_at) == (principal, "t 1", given.expires_at)
        await store.fail(lease_of(claimed), seq=1, error=BROKEN)
        again = await store.requeue(given.key)
        assert again.principal == principal
        stored = await store.get(given.key)
        assert stored is not None
        assert stored.principal == principal

    async def test_errors_of_attempts_and_the_newest_tracebacks_are_stored(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, max_attempts=10))
        causes = [Cause(type="ValueError", text=f"ä {n}", traceback=f"line 1\nline {n}") for n in range(6)]
        for cause in causes:
            claimed = await self.claim_one(store)
            await store.fail(lease_of(claimed), seq=1, error=BROKEN, retry_at=clock.now(), cause=cause)
        found = await store.get(claimed.key)
        assert found is not None
        kept = [attempt.cause for attempt in found.history]
        assert kept[-MAX_TRACEBACKS:] == causes[-MAX_TRACEBACKS:]
        older = len(causes) - MAX_TRACEBACKS
        assert kept[:older] == [Cause(type=one.type, text=one.text) for one in causes[:older]]

    async def test_every_attempt_that_did_not_complete_is_in_the_history(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        start = clock.now()
        await store.enqueue(record(clock, max_attempts=3))
        first = await self.claim_one(store, "w1")
        await clock.advance(1)
        await store.fail(lease_of(first), seq=1, error=BROKEN, retry_at=clock.now())
        second = await self.claim_one(store, "w2")
        await clock.advance(1)
        await store.release([lease_of(second)])
        await self.claim_one(store, "w3")
        await clock.advance(LEASE)
        fourth = await self.claim_one(store, "w4")
        expected = (
            Attempt(fence=1, worker="w1", started_at=start, ended_at=start + 1, outcome=Outcome.FAILED, error=BROKEN),
            Attempt(fence=2, worker="w2", started_at=start + 1, ended_at=start + 2, outcome=Outcome.RELEASED),
            Attempt(fence=3, worker="w3", started_at=start + 2, ended_at=clock.now(), outcome=Outcome.LOST),
        )
        assert fourth.history == expected
        await store.complete(lease_of(fourth), seq=9, result=b"1")
        found = await store.get(fourth.key)
        assert found is not None
        assert (found.status, found.history) == (Status.COMPLETED, expected)

    async def test_a_dead_letter_keeps_its_attempts_when_it_is_run_again(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, max_attempts=2))
        for worker in ("w1", "w2"):
            await self.claim_one(store, worker)
            await clock.advance(LEASE)
        (ended,) = (await store.claim("w3", 10, LEASE)).abandoned
        assert [(one.worker, one.outcome) for one in ended.history] == [("w1", Outcome.LOST), ("w2", Outcome.LOST)]
        assert (await store.get(ended.key)) == ended
        again = await store.requeue(ended.key)
        assert (again.attempts, again.history) == (0, ended.history)
        failed = await self.claim_one(store, "w4")
        await store.fail(lease_of(failed), seq=1, error=BROKEN)
        found = await store.get(ended.key)
        assert found is not None
        assert [one.worker for one in found.history] == ["w1", "w2", "w4"]
        assert found.history[-1].error == BROKEN

    async def test_an_attempt_cancelled_while_running_is_in_the_history(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock))
        claimed = await self.claim_one(store, "w1")
        ended = await store.cancel(claimed.key)
        assert [(one.worker, one.outcome) for one in ended.history] == [("w1", Outcome.CANCELLED)]
        assert (await store.get(ended.key)) == ended
        assert (await store.requeue(ended.key)).history == ended.history

    async def test_the_history_holds_the_newest_of_many_attempts(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        for _ in range(MAX_HISTORY + 2):
            await store.release([lease_of(await self.claim_one(store))])
        found = await store.get(("client:one", "r1"))
        assert found is not None
        assert [one.fence for one in found.history] == list(range(3, MAX_HISTORY + 3))

    async def test_a_request_cancelled_while_running_is_never_retried(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await store.enqueue(record(clock, max_attempts=5))
        running = await self.claim_one(store)
        await store.cancel(running.key)
        for write in (
            store.fail(lease_of(running), seq=1, error=BROKEN, retry_at=clock.now()),
            store.complete(lease_of(running), seq=1, result=b"1"),
        ):
            with pytest.raises(LeaseLost):
                await write
        await store.release([lease_of(running)])
        assert await store.renew([lease_of(running)], LEASE) == [lease_of(running)]
        await clock.advance(10 * LEASE)
        claims = await store.claim("w2", 10, LEASE)
        assert (claims.records, claims.abandoned, claims.next_due) == ([], [], None)
        found = await store.get(running.key)
        assert found is not None
        assert found.status is Status.CANCELLED
