"""Records and claims that the suite works with."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from streamer.contracts.stores import Key, Lease, RequestQueue
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord
from streamer.testing.clock import ManualClock

OWNER: Final = "client:one"
LEASE: Final = 30.0
BROKEN: Final = ErrorBody("BROKEN", "it broke", retryable=True, details={"part": 7})


def record(clock: ManualClock, id: str = "r1", **changes: Any) -> RequestRecord:  # noqa: A002 - the field's name
    """A PENDING record, due now."""
    now = clock.now()
    base = RequestRecord(
        owner=OWNER, id=id, action="work", payload=b'{"a": 1}', created_at=now, updated_at=now, due_at=now
    )
    return msgspec.structs.replace(base, **changes)


async def whole_records(store: RequestQueue) -> list[RequestRecord]:
    """Every record of the store as it is read by its key, newest first."""
    keys: list[Key] = []
    cursor = None
    while True:
        page = await store.list(limit=100, cursor=cursor)
        keys += [one.key for one in page.requests]
        cursor = page.cursor
        if cursor is None:
            break
    return [found for key in keys if (found := await store.get(key)) is not None]


def lease_of(claimed: RequestRecord) -> Lease:
    """The claim that a record is under."""
    return Lease(claimed.owner, claimed.id, claimed.fence)


class Suite:
    """What every part of the suite has: a clock, and a size of the queue that can be reached."""

    max_queued = 50
    one_clock = True
    """All of the store's time comes from one clock, so that it can notice that this was put back. False for a store
    that many machines write to, each by its own: then only what is new must not be held up."""
    large_payload = 1 << 20
    """Bytes of a payload that must come back whole. A store whose medium holds less says here how much it takes."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """What the store must take its time from."""
        return ManualClock()

    async def whole(self, store: RequestQueue) -> list[RequestRecord]:
        """Every record, newest first."""
        return await whole_records(store)

    async def claim_one(self, store: RequestQueue, worker: str = "w1") -> RequestRecord:
        """The only record that is due, claimed."""
        claims = await store.claim(worker, 10, LEASE)
        assert len(claims.records) == 1
        return claims.records[0]
