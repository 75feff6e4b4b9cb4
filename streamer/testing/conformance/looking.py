"""Listing, counting and deleting."""

from __future__ import annotations

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.core.records import Status
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import OWNER, Suite, record


class Looking(Suite):
    """Listing, counting and deleting."""

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

    async def test_a_page_that_holds_all_is_the_last(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(3):
            await store.enqueue(record(clock, f"r{n}"))
        assert (await store.list(limit=3)).cursor is None
        assert (await store.list(limit=2)).cursor is not None

    async def test_what_runs_again_is_not_purged(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        await store.cancel((OWNER, "r1"))
        await store.requeue((OWNER, "r1"))
        await clock.advance(100)
        assert await store.purge(clock.now()) == 0
        await self.claim_one(store)
        assert await store.purge(clock.now()) == 0
