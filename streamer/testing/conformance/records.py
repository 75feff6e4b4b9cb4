"""Records and claims for the suite."""

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
    """Every record of the store as read by its key, newest first."""
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
    """The current claim of a record."""
    return Lease(claimed.owner, claimed.id, claimed.fence)


class Suite:
    """The base of every part of the suite: a clock, and a small limit of the queue."""

    max_queued = 50
    one_clock = True
    """The store takes all times from one clock, so that it can notice when this is set back. False for a store that
    many machines write to, each with its own clock: then only new records must not be delayed.
    """
    large_payload = 1 << 20
    """Bytes of a payload that must be returned unchanged. A store with a lower limit declares it here."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock that the store must use."""
        return ManualClock()

    async def whole(self, store: RequestQueue) -> list[RequestRecord]:
        """Every record, newest first."""
        return await whole_records(store)

    async def claim_one(self, store: RequestQueue, worker: str = "w1") -> RequestRecord:
        """The only due record, claimed."""
        claims = await store.claim(worker, 10, LEASE)
        assert len(claims.records) == 1
        return claims.records[0]
