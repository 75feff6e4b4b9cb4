"""A queue in memory: fast, for tests and for services that may forget. Nothing survives the process."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from streamer.contracts.stores import Claims, Existing, Key, Lease, Page
from streamer.core.attempts import Cause, LastReport
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import LeaseLost, StoreClosed
from streamer.core.messages import ErrorBody
from streamer.core.records import (
    ADDRESS_SHARE,
    QUEUED,
    Abandoned,
    Cancelled,
    Claimed,
    Completed,
    Delivered,
    Event,
    Expired,
    Failed,
    Progressed,
    Released,
    Renewed,
    RequestRecord,
    Requeued,
    Status,
    advance,
    put_back,
)
from streamer.core.summaries import RequestSummary, summarize
from streamer.queue.common import (
    Timeline,
    address_full,
    decode_cursor,
    encode_cursor,
    existing,
    not_found,
    owner_full,
    queue_full,
    same_outcome,
)
from streamer.queue.fairness import Room
from streamer.stores.waiting import Waiting


class MemoryStore:
    """Part of `RequestQueue`, in one dictionary. It is not durable: an acknowledgment does not survive the process.

    Args:
        clock: time.
        max_queued: how many records may wait; one more is OVERLOADED.
        max_queued_per_owner: how many of one owner; None: as many as there is room for.
        max_queued_per_address: how many of one address, of those without authentication; None: likewise.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        max_queued: int = 100_000,
        max_queued_per_owner: int | None = None,
        max_queued_per_address: int | None = None,
    ) -> None:
        self._time = Timeline(clock or SystemClock())
        self._newest = self._time.now()
        self._max_queued = max_queued
        self._max_queued_per_owner = max_queued_per_owner
        self._max_queued_per_address = max_queued_per_address
        self._records: dict[Key, RequestRecord] = {}
        self._numbers: dict[Key, int] = {}
        """In what order the records came; decides in listings among those made at the same time."""
        self._waiting = Waiting(self._records, self._numbers)
        self._queued = 0
        self._queued_by: Counter[str] = Counter()
        """By owner."""
        self._queued_from: Counter[str] = Counter()
        """By share, see `RequestRecord.share`."""
        self._counter = itertools.count()
        self._kept: dict[str, bytes] = {}
        self._closed = False

    async def enqueue(self, record: RequestRecord, /) -> Existing | None:
        """Part of `RequestQueue`."""
        self._check_open()
        stored = self._records.get(record.key)
        if stored is not None:
            return existing(stored, record)
        if self._queued >= self._max_queued:
            raise queue_full(self._max_queued)
        if self._max_queued_per_owner is not None and self._queued_by[record.owner] >= self._max_queued_per_owner:
            raise owner_full(self._max_queued_per_owner)
        if (
            self._max_queued_per_address is not None
            and record.share.startswith(ADDRESS_SHARE)
            and self._queued_from[record.share] >= self._max_queued_per_address
        ):
            raise address_full(self._max_queued_per_address)
        self._numbers[record.key] = next(self._counter)
        self._put(record)
        return None

    async def claim(
        self,
        worker: str,
        limit: int,
        lease: float,
        *,
        headroom: Mapping[str, int] | None = None,
        tenant_limit: int | None = None,
        tenants: Mapping[str, int] | None = None,
        lost_limit: int | None = None,
        lost_running: int = 0,
    ) -> Claims:
        """Part of `RequestQueue`."""
        self._check_open()
        now = self._now()
        lost, late = self._waiting.must_end(now)
        ended = [self._put(advance(self._records[key], Abandoned(now))) for key in lost]
        ended += [self._put(advance(self._records[key], Expired(now))) for key in late]
        room = Room(headroom, tenant_limit, tenants, lost_limit, lost_running)
        turns = self._waiting.take(limit, room, self._waiting.fall_due(now))
        taken = [self._put(advance(self._records[key], Claimed(now, worker, now + lease))) for key in turns]
        return Claims(taken, ended, self._waiting.next_due(now, room))

    async def renew(self, leases: Sequence[Lease], lease: float, /) -> list[Lease]:
        """Part of `RequestQueue`."""
        now = self._now()
        lost = []
        for claim in leases:
            try:
                self._apply(claim, Renewed(now, claim.fence, now + lease))
            except LeaseLost:
                lost.append(claim)
        return lost

    async def update_progress(
        self, claim: Lease, /, *, seq: int, percentage: float, message: str = "", metadata: bytes = b""
    ) -> None:
        """Part of `RequestQueue`."""
        self._apply(claim, Progressed(self._now(), claim.fence, seq, percentage, message, metadata))

    async def complete(self, claim: Lease, /, *, seq: int, result: bytes, progress: LastReport | None = None) -> None:
        """Part of `RequestQueue`."""
        self._end(claim, Completed(self._now(), claim.fence, seq, result, progress))

    async def fail(
        self,
        claim: Lease,
        /,
        *,
        seq: int,
        error: ErrorBody,
        retry_at: float | None = None,
        cause: Cause | None = None,
        progress: LastReport | None = None,
    ) -> None:
        """Part of `RequestQueue`."""
        self._end(claim, Failed(self._now(), claim.fence, seq, error, retry_at, cause, progress))

    async def release(self, leases: Sequence[Lease], /) -> None:
        """Part of `RequestQueue`."""
        now = self._now()
        for claim in leases:
            try:
                self._apply(claim, Released(now, claim.fence))
            except LeaseLost:
                continue

    async def cancel(self, key: Key, /, message: str = "The request was cancelled") -> RequestRecord:
        """Part of `RequestQueue`."""
        return self._put(advance(self._known(key), Cancelled(self._now(), message)))

    async def requeue(self, key: Key, /) -> RequestRecord:
        """Part of `RequestQueue`."""
        return self._put(advance(self._known(key), Requeued(self._now())))

    async def mark_delivered(self, keys: Sequence[Key], /) -> None:
        """Part of `RequestQueue`."""
        self._check_open()
        now = self._now()
        for key in keys:
            record = self._records.get(key)
            if record is not None and record.terminal:
                self._put(advance(record, Delivered(now)))

    async def unsettled(self, owner: str, /, limit: int = 1000) -> Sequence[Key]:
        """Part of `RequestQueue`."""
        self._check_open()
        found = [one for one in self._records.values() if one.owner == owner and one.delivered_at is None]
        found.sort(key=lambda one: (one.created_at, self._numbers[one.key]))
        return [one.key for one in found[:limit]]

    async def get(self, key: Key, /) -> RequestRecord | None:
        """Part of `RequestQueue`."""
        self._check_open()
        return self._records.get(key)

    async def find(self, id: str, /, limit: int = 100) -> list[RequestSummary]:  # noqa: A002 - the contract's name
        """Part of `RequestQueue`."""
        self._check_open()
        found = (summarize(record) for record in self._records.values() if record.id == id)
        return list(itertools.islice(found, limit))

    async def list(
        self,
        *,
        owner: str | None = None,
        status: Status | None = None,
        action: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Part of `RequestQueue`."""
        self._check_open()
        before = None if cursor is None else decode_cursor(cursor)
        found = [
            (record.created_at, self._numbers[record.key], record)
            for record in self._records.values()
            if (owner is None or record.owner == owner)
            and (status is None or record.status is status)
            and (action is None or record.action == action)
            and (before is None or (record.created_at, self._numbers[record.key]) < before)
        ]
        found.sort(key=lambda item: item[:2], reverse=True)
        page = found[:limit]
        more = len(found) > limit and page
        return Page([summarize(record) for _, _, record in page], encode_cursor(*page[-1][:2]) if more else None)

    async def counts(self) -> dict[Status, int]:
        """Part of `RequestQueue`."""
        self._check_open()
        counts = dict.fromkeys(Status, 0)
        for record in self._records.values():
            counts[record.status] += 1
        return counts

    async def purge(self, finished_before: float, /) -> int:
        """Part of `RequestQueue`."""
        self._check_open()
        old = [
            key
            for key, record in self._records.items()
            if record.finished_at is not None and record.terminal and record.finished_at < finished_before
        ]
        for key in old:
            del self._records[key], self._numbers[key]
        return len(old)

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        """Part of `RequestQueue`."""
        self._check_open()
        if replace:
            self._kept[name] = value
        return self._kept.setdefault(name, value)

    async def failed(self) -> None:
        """Part of `RequestQueue`: memory does not fail."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Part of `RequestQueue`."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the store is closed")

    def _now(self) -> float:
        now = self._time.now()
        if now < self._newest:
            for key in self._waiting:
                self._put(put_back(self._records[key], now))
            self._waiting.back_to(now)
        self._newest = now
        return now

    def _put(self, record: RequestRecord) -> RequestRecord:
        before = self._records.get(record.key)
        change = (record.status in QUEUED) - (before is not None and before.status in QUEUED)
        self._queued += change
        for counts, name in ((self._queued_by, record.owner), (self._queued_from, record.share)):
            counts[name] += change
            if not counts[name]:
                del counts[name]
        self._records[record.key] = record
        self._waiting.changed(record)
        return record

    def _known(self, key: Key) -> RequestRecord:
        self._check_open()
        record = self._records.get(key)
        if record is None:
            raise not_found(key[1])
        return record

    def _apply(self, claim: Lease, event: Event) -> None:
        self._check_open()
        record = self._records.get((claim.owner, claim.id))
        if record is None:
            raise LeaseLost(f"request {claim.id!r} is no longer known")
        self._put(advance(record, event))

    def _end(self, claim: Lease, event: Completed | Failed) -> None:
        record = self._records.get((claim.owner, claim.id))
        if record is not None and same_outcome(record, event):
            return
        self._apply(claim, event)
