"""Storing requests."""

from __future__ import annotations

import asyncio

import pytest

from streamer.contracts.stores import Existing, RequestQueue
from streamer.core.errors import OVERLOADED, Error
from streamer.core.records import Status
from streamer.core.summaries import summarize
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import BROKEN, LEASE, OWNER, Suite, lease_of, record


class Enqueues(Suite):
    """Storing requests."""

    async def test_a_new_request_is_stored_unchanged(self, store: RequestQueue, clock: ManualClock) -> None:
        given = record(clock, metadata={"k": "v"}, connection_id="c1", priority=3, max_attempts=5)
        assert await store.enqueue(given) is None
        assert await store.get(given.key) == given

    async def test_the_same_key_again_returns_the_stored_request_and_whether_it_is_equal(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        first = record(clock, payload=b'{"a":1,"b":[true,null]}')
        await store.enqueue(first)
        for payload, action, same in (
            (first.payload, first.action, True),
            (b'{ "b": [true, null], "a": 1 }', first.action, True),
            (b'{"a":1.0,"b":[true,null]}', first.action, False),
            (b'{"a":1,"b":[null,true]}', first.action, False),
            (b"2", first.action, False),
            (first.payload, "other", False),
        ):
            again = record(clock, action=action, payload=payload)
            assert await store.enqueue(again) == Existing(summarize(first), same)
        assert await store.get(first.key) == first
        assert (await store.counts())[Status.PENDING] == 1

    async def test_ids_are_unique_per_owner(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.enqueue(record(clock))
        assert await store.enqueue(record(clock, owner="client:two")) is None
        assert {found.owner for found in await store.find("r1")} == {OWNER, "client:two"}
        assert await store.get(("client:three", "r1")) is None

    async def test_of_many_concurrent_enqueues_of_one_key_one_is_stored(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        answers = await asyncio.gather(*(store.enqueue(record(clock, payload=b"%d" % n)) for n in range(32)))
        assert answers.count(None) == 1
        stored = await store.get((OWNER, "r1"))
        assert stored is not None
        assert all(answer in (None, Existing(summarize(stored), same=False)) for answer in answers)

    async def test_a_full_queue_answers_overloaded_with_a_retry_delay(
        self, store: RequestQueue, clock: ManualClock
    ) -> None:
        await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(self.max_queued)))
        with pytest.raises(Error) as refused:
            await store.enqueue(record(clock, "one-more"))
        assert refused.value.code == OVERLOADED
        assert refused.value.details["retry_after_ms"] > 0
        assert await store.get((OWNER, "one-more")) is None

    async def test_a_full_queue_still_recognises_its_requests(self, store: RequestQueue, clock: ManualClock) -> None:
        await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(self.max_queued)))
        assert await store.enqueue(record(clock, "r0")) is not None

    async def test_a_claim_frees_a_place_in_a_full_queue(self, store: RequestQueue, clock: ManualClock) -> None:
        await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(self.max_queued)))
        await store.claim("w1", 1, LEASE)
        assert await store.enqueue(record(clock, "one-more")) is None

    async def test_text_of_every_kind_is_returned_unchanged(self, store: RequestQueue, clock: ManualClock) -> None:
        odd = "nul \x00, quotes '\"`, percent %_, lines \r\n, \u00fc \u65e5\u672c \U0001f600"
        given = record(
            clock, odd, owner=f"client:{odd}", metadata={odd: odd}, connection_id=odd, action=odd, payload=odd.encode()
        )
        assert await store.enqueue(given) is None
        assert await store.get(given.key) == given
        assert await store.find(odd) == [summarize(given)]
        assert (await store.list(owner=given.owner, action=odd)).requests == [summarize(given)]

    async def test_a_large_payload_is_returned_whole(self, store: RequestQueue, clock: ManualClock) -> None:
        given = record(clock, payload=b'"' + bytes(range(35, 92)) * (self.large_payload // 57) + b'"')
        assert await store.enqueue(given) is None
        assert await store.get(given.key) == given

    async def test_only_queued_requests_count_towards_the_limit(self, store: RequestQueue, clock: ManualClock) -> None:
        await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(self.max_queued)))
        (first, second, third) = (await store.claim("w1", 3, LEASE)).records
        await store.complete(lease_of(first), seq=1, result=b"1")
        await store.fail(lease_of(second), seq=1, error=BROKEN, retry_at=clock.now() + 60)
        await store.release([lease_of(third)])
        assert await store.enqueue(record(clock, "room-for-one")) is None
        with pytest.raises(Error, match="full"):
            await store.enqueue(record(clock, "one-more"))
        await store.cancel((OWNER, "room-for-one"))
        assert await store.enqueue(record(clock, "one-more")) is None
