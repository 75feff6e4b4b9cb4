"""Delivery of outcomes to owners."""

from __future__ import annotations

from streamer.contracts.stores import RequestQueue
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import OWNER, Suite, record


class Deliveries(Suite):
    """Delivery of outcomes to owners."""

    async def test_unfinished_and_undelivered_requests_are_listed(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for name in ("delivered", "ended_undelivered", "waiting"):
            await store.enqueue(record(clock, name))
            await clock.advance(1)
        await store.enqueue(record(clock, "of_another_owner", owner="client:two"))
        for name in ("delivered", "ended_undelivered"):
            await store.cancel((OWNER, name))
        await store.mark_delivered([(OWNER, "delivered"), (OWNER, "waiting"), (OWNER, "never")])
        assert [one_id for _, one_id in await store.undelivered(OWNER)] == ["ended_undelivered", "waiting"]
        assert [one_id for _, one_id in await store.undelivered(OWNER, limit=1)] == ["ended_undelivered"]
        delivered = await store.get((OWNER, "delivered"))
        assert delivered is not None
        assert delivered.delivered_at == clock.now()

    async def test_marking_twice_changes_nothing_and_a_rerun_is_undelivered_again(
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
        assert [one_id for _, one_id in await store.undelivered(OWNER)] == ["r1"]
