"""Listing, counting and deleting."""

from __future__ import annotations

import asyncio

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.core.messages import ErrorBody
from streamer.core.records import Status
from streamer.core.summaries import MAX_TEXT, summarize
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import OWNER, Suite, lease_of, record


class Queries(Suite):
    """Listing, counting and deleting."""

    async def test_pages_of_a_listing_go_from_new_to_old_without_gaps_or_duplicates(
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
            seen += [one.id for one in page.requests]
            if page.cursor is None:
                break
            cursor = page.cursor
            # Records that are added meanwhile are newer than all that remain to be listed.
            await clock.advance(1)
            await store.enqueue(record(clock, f"late{len(seen)}"))
        assert seen == [f"r{n:02}" for n in reversed(range(25))]

    async def test_a_listing_returns_the_state_of_requests_of_any_size(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        long = "x" * (2 * MAX_TEXT)
        await store.enqueue(record(clock, "failed", payload=b'"large"', metadata={"k": long}))
        failed = await self.claim_one(store)
        await store.update_progress(lease_of(failed), seq=3, percentage=40, message=long, metadata=b'{"rows":1}')
        error = ErrorBody("BROKEN", long, retryable=True, details={"long": long})
        await store.fail(lease_of(failed), seq=4, error=error)
        await clock.advance(1)
        await store.enqueue(record(clock, "completed"))
        await store.complete(lease_of(await self.claim_one(store)), seq=1, result=b'{"success":true,"result":1}')
        await clock.advance(1)
        await store.enqueue(record(clock, "waiting"))
        listed = (await store.list()).requests
        assert listed == [summarize(one) for one in await self.whole(store)]
        assert [one.id for one in listed] == ["waiting", "completed", "failed"]
        assert (await store.find("failed"))[0] == listed[2]
        assert listed[2].message == long[:MAX_TEXT]
        assert listed[2].error == ErrorBody("BROKEN", long[:MAX_TEXT], retryable=True)
        assert not hasattr(listed[2], "payload")
        assert len(await store.find("failed", limit=0)) == 0

    async def test_a_listing_can_be_filtered(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock, "a", action="one"))
        await store.enqueue(record(clock, "b", action="two"))
        await store.enqueue(record(clock, "c", action="two", owner="client:two"))
        await store.cancel((OWNER, "b"))
        assert {one.id for one in (await store.list(owner=OWNER)).requests} == {"a", "b"}
        assert {one.id for one in (await store.list(action="two")).requests} == {"b", "c"}
        assert {one.id for one in (await store.list(status=Status.CANCELLED)).requests} == {"b"}
        assert (await store.list(owner="client:none")).requests == []

    async def test_a_cursor_of_another_owner_is_refused(self, store: RequestQueue) -> None:
        with pytest.raises(Error) as refused:
            await store.list(cursor="not one of ours")
        assert refused.value.code == VALIDATION_ERROR

    async def test_counts_include_every_status(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock, "a"))
        await store.enqueue(record(clock, "b"))
        await store.cancel((OWNER, "b"))
        counts = await store.counts()
        assert set(counts) == set(Status)
        assert (counts[Status.PENDING], counts[Status.CANCELLED], counts[Status.FAILED]) == (1, 1, 0)

    async def test_purging_deletes_only_requests_that_ended_before(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        for name in ("old", "new", "waiting"):
            await store.enqueue(record(clock, name))
        await store.cancel((OWNER, "old"))
        await clock.advance(100)
        await store.cancel((OWNER, "new"))
        assert await store.purge(clock.now() - 50) == 1
        assert {one.id for one in (await store.list()).requests} == {"new", "waiting"}
        assert await store.purge(clock.now() - 50) == 0

    async def test_a_value_of_the_store_keeps_its_first_value(self, store: RequestQueue, clock: ManualClock) -> None:
        values = [bytes([n]) * 32 for n in range(10)]
        kept = set(await asyncio.gather(*(store.keep("key", value) for value in values)))
        assert len(kept) == 1
        assert kept <= set(values)
        assert await store.keep("key", b"another") in kept
        assert await store.keep("other", b"") == b""
        assert await store.keep("other", b"new", replace=True) == b"new"
        assert await store.keep("other", b"newer", replace=True) == b"newer"
        assert await store.keep("other", b"") == b"newer"
        await store.enqueue(record(clock))
        assert [one.id for one in (await store.list()).requests] == ["r1"]
        assert sum((await store.counts()).values()) == 1
        assert await store.purge(clock.now() + 1) == 0

    async def test_a_page_with_all_requests_is_the_last(self, store: RequestQueue, clock: ManualClock) -> None:
        for n in range(3):
            await store.enqueue(record(clock, f"r{n}"))
        assert (await store.list(limit=3)).cursor is None
        assert (await store.list(limit=2)).cursor is not None

    async def test_a_requeued_request_is_not_purged(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        await store.cancel((OWNER, "r1"))
        await store.requeue((OWNER, "r1"))
        await clock.advance(100)
        assert await store.purge(clock.now()) == 0
        await self.claim_one(store)
        assert await store.purge(clock.now()) == 0
