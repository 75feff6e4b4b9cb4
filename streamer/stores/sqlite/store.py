"""The SQLite store, in the process of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from streamer.contracts.stores import Claims, Existing, Key, Lease, Page
from streamer.core.attempts import Cause, LastReport
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import LeaseLost
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord, Status
from streamer.core.summaries import RequestSummary
from streamer.queue.common import (
    Timeline,
    address_full,
    decode_cursor,
    encode_cursor,
    not_found,
    owner_full,
    queue_full,
)
from streamer.stores.options import MAX_PENDING, MAX_READING
from streamer.stores.sqlite.budget import ByteBudget
from streamer.stores.sqlite.files import make_private
from streamer.stores.sqlite.operations import NUMBERS
from streamer.stores.sqlite.read_queries import PAGE_BYTES
from streamer.stores.sqlite.rows import encode_cause, encode_error, summary_of, to_new_row, to_record
from streamer.stores.sqlite.write_queries import ADDRESS_FULL, FULL, LOST, NOT_FOUND, OWNER_FULL
from streamer.stores.sqlite.writer_process import WriterProcess

LEAST_PURGED: Final = 16
MOST_PURGED: Final = 512
"""Maximum number of records that are deleted in one transaction."""
PURGE_TIME: Final = 0.01
"""Target duration of such a transaction in seconds; the speed of the disk then decides how many records it deletes."""
SMALL_RECORD: Final = 32 * 1024
"""Records up to this size in bytes are read at once; for a larger one the size is queried first."""


class SqliteStore:
    """A durable `RequestQueue`: WAL with `synchronous=FULL`, and one commit for all concurrent callers.

    Created by `open`. The writer process ends with this object, or with the process that created it, in whatever way.
    If the writer dies, it is replaced, and its unanswered operations are sent again; each operation has a name, so that
    one that was already done is recognised and not repeated.
    """

    def __init__(
        self,
        writer: WriterProcess,
        time: Timeline,
        max_queued: int,
        max_queued_per_owner: int | None,
        max_queued_per_address: int | None,
        max_reading: int,
    ) -> None:
        self._writer = writer
        self._reading = ByteBudget(max_reading)
        self._time = time
        self._max_queued = max_queued
        self._max_queued_per_owner = max_queued_per_owner
        self._max_queued_per_address = max_queued_per_address

    @classmethod
    async def open(
        cls,
        path: str | Path,
        *,
        clock: Clock | None = None,
        max_queued: int = 100_000,
        max_queued_per_owner: int | None = None,
        max_queued_per_address: int | None = None,
        max_pending: int = MAX_PENDING,
        max_reading: int = MAX_READING,
        operator: bool = False,
        warn: Callable[[str], object] | None = None,
        on_trouble: Callable[[str | None], object] | None = None,
    ) -> Self:
        """Opens the file, creating it if necessary, for exclusive use by this service.

        Args:
            path: the SQLite file; `-wal`, `-shm` and `.lock` are next to it.
            clock: time.
            max_queued: the limit of waiting records; one more is OVERLOADED.
            max_queued_per_owner: the limit of one owner; None: no limit of its own.
            max_queued_per_address: the limit of one address, for requests without authentication; None: no limit of its
                own.
            max_pending: maximum bytes that wait to be written; beyond them a new request is OVERLOADED.
            max_reading: maximum bytes of records that are read at one time; beyond them reading waits.
            operator: open an existing file that a running service may use, for reading and single changes: no lock is
                taken, and a running service is not disturbed.
            warn: called with one line for the log each time the writer process died and was replaced, and for each
                file that other users could read.
            on_trouble: called with the reason, on one line, when nothing can be stored: the disk is full, or the file
                was deleted, replaced or damaged; called with None when it can be stored again.

        Raises:
            StoreInUse: another service uses the file.
            StoreTooNew: a newer version wrote it.
            StoreError: it cannot be opened, or belongs to another program.
        """
        time = Timeline(clock or SystemClock())
        # Two names of one file must have one lock.
        path = Path(path).resolve()
        if not operator:
            for line in make_private(path):
                if warn is not None:
                    warn(line)
        writer = WriterProcess(
            path,
            now=time.now,
            max_queued=max_queued,
            max_queued_per_owner=max_queued_per_owner,
            max_queued_per_address=max_queued_per_address,
            operator=operator,
            max_pending=max_pending,
            warn=warn,
            on_trouble=on_trouble,
        )
        await writer.open()
        return cls(writer, time, max_queued, max_queued_per_owner, max_queued_per_address, max_reading)

    @property
    def writer_pid(self) -> int:
        """Process id of the writer."""
        return self._writer.pid

    def enqueue(self, record: RequestRecord, /) -> Awaitable[Existing | None]:
        try:
            return self._do("enqueue", to_new_row(record), record.share, read=self._enqueued)
        except Exception as problem:  # noqa: BLE001 - raised where it is awaited, as everything else that goes wrong
            refused = asyncio.get_running_loop().create_future()
            refused.set_exception(problem)
            return refused

    def _enqueued(self, answer: Any) -> Existing | None:
        if answer is None:
            return None
        if answer == FULL:
            raise queue_full(self._max_queued)
        if answer == OWNER_FULL and self._max_queued_per_owner is not None:
            raise owner_full(self._max_queued_per_owner)
        if answer == ADDRESS_FULL and self._max_queued_per_address is not None:
            raise address_full(self._max_queued_per_address)
        summary, same = answer
        return Existing(summary_of(summary), same)

    async def claim(
        self,
        worker: str,
        limit: int,
        lease: float,
        *,
        free_slots: Mapping[str, int] | None = None,
        tenant_limit: int | None = None,
        tenants: Mapping[str, int] | None = None,
        lost_limit: int | None = None,
        lost_running: int = 0,
    ) -> Claims:
        limits = (free_slots and dict(free_slots), tenant_limit, tenants and dict(tenants), lost_limit, lost_running)
        answer = await self._do("claim", worker, limit, lease, limits)
        taken, abandoned, next_due, changed_externally, keys = answer
        return Claims(
            [to_record(row) for row in taken],
            [to_record(row) for row in abandoned],
            next_due,
            changed_externally,
            None if keys is None else [(owner, request_id) for owner, request_id in keys],
        )

    async def renew(self, leases: Sequence[Lease], lease: float, /) -> list[Lease]:
        return [Lease(*held) for held in await self._do("renew", list(leases), lease)]

    async def update_progress(
        self, claim: Lease, /, *, seq: int, percentage: float, message: str = "", metadata: bytes = b""
    ) -> None:
        _held(claim, await self._do("update_progress", claim, seq, percentage, message, metadata))

    async def complete(self, claim: Lease, /, *, seq: int, result: bytes, progress: LastReport | None = None) -> None:
        _held(claim, await self._do("complete", claim, seq, result, *(_columns(progress) or (None, None, None))[1:]))

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
        arguments = (seq, encode_error(error), retry_at, encode_cause(cause), _columns(progress))
        _held(claim, await self._do("fail", claim, *arguments))

    async def release(self, leases: Sequence[Lease], /) -> None:
        await self._do("release", list(leases))

    async def cancel(self, key: Key, /, message: str = "The request was cancelled") -> RequestRecord:
        async with self._reading.taken(PAGE_BYTES):
            return _known(key, await self._do("cancel", *key, message))

    async def requeue(self, key: Key, /) -> RequestRecord:
        async with self._reading.taken(PAGE_BYTES):
            return _known(key, await self._do("requeue", *key))

    async def mark_delivered(self, keys: Sequence[Key], /) -> None:
        await self._do("mark_delivered", list(keys))

    async def undelivered(self, owner: str, /, limit: int = 1000) -> Sequence[Key]:
        async with self._reading.taken(PAGE_BYTES):
            return [(owner, id_) for id_ in await self._do("undelivered", owner, limit)]

    async def get(self, key: Key, /) -> RequestRecord | None:
        size = SMALL_RECORD
        while True:
            async with self._reading.taken(size):
                answer = await self._do("get", *key, size)
                if answer is None:
                    return None
                row, size = answer
                if row is not None:
                    return to_record(row)

    async def find(self, id: str, /, limit: int = 100) -> list[RequestSummary]:  # noqa: A002 - the contract's name
        """In slices: no index has the ids of all owners."""
        summaries: list[RequestSummary] = []
        after: int | None = 0
        while after is not None and len(summaries) < limit:
            async with self._reading.taken(PAGE_BYTES):
                found, after = await self._do("find", id, limit - len(summaries), after)
                summaries += map(summary_of, found)
        return summaries

    async def list(
        self,
        *,
        owner: str | None = None,
        status: Status | None = None,
        action: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        before = None if cursor is None else decode_cursor(cursor)
        async with self._reading.taken(PAGE_BYTES):
            rows, last = await self._do("list_records", owner, status and status.value, action, limit, before)
            return Page([summary_of(values) for values in rows], None if last is None else encode_cursor(*last))

    async def counts(self) -> dict[Status, int]:
        """In slices; a request that changes meanwhile counts once, in either state."""
        counts = dict.fromkeys(Status, 0)
        after: int | None = 0
        while after is not None:
            found, after = await self._do("counts", after)
            for name, count in found.items():
                counts[Status(name)] += count
        return counts

    async def purge(self, finished_before: float, /) -> int:
        """In slices whose size depends on the speed of the disk, so that other writes run in between."""
        now = asyncio.get_running_loop().time
        purged, limit = 0, LEAST_PURGED
        asked = now()
        while slice_ := await self._do("purge", finished_before, limit):
            purged += slice_
            took, asked = now() - asked, now()
            if took > PURGE_TIME:
                limit = max(limit // 2, LEAST_PURGED)
            elif took < PURGE_TIME / 2:
                limit = min(limit * 2, MOST_PURGED)
        return purged

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        kept: bytes = await self._do("keep", name, value, replace)
        return kept

    async def failed(self) -> None:
        await self._writer.failed.wait()

    async def close(self) -> None:
        await self._writer.close()

    def _do(self, name: str, *arguments: Any, read: Callable[[Any], Any] | None = None) -> Awaitable[Any]:
        return self._writer.ask(NUMBERS[name], self._time.now(), arguments, read)


def _columns(progress: LastReport | None) -> tuple[float, str, bytes] | None:
    return None if progress is None else (progress.percentage, progress.message, progress.metadata)


def _held(claim: Lease, answer: Any) -> None:
    if answer is None:
        return
    name, status, fence = answer
    assert name == LOST
    if status is None:
        raise LeaseLost(f"request {claim.id!r} no longer exists")
    raise LeaseLost(
        f"request {claim.id!r} is {status} under claim {fence}; a write under claim {claim.fence} is refused"
    )


def _known(key: Key, answer: Any) -> RequestRecord:
    if answer == NOT_FOUND:
        raise not_found(key[1])
    return to_record(answer)
