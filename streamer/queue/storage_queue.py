"""A queue over any storage: all rules of a queue, written once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from streamer.contracts.storage import Filter, Storage
from streamer.contracts.stores import Claims, Existing, Key, Lease, Page
from streamer.core.attempts import Cause, LastReport
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import LeaseLost, StoreClosed, StoreUnavailable
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord, Status
from streamer.core.summaries import RequestSummary, summarize
from streamer.core.transitions import (
    Cancelled,
    Completed,
    Delivered,
    Event,
    Failed,
    Progressed,
    Released,
    Renewed,
    Requeued,
    advance,
)
from streamer.queue.common import Timeline, decode_cursor, encode_cursor, not_found, same_outcome
from streamer.queue.executor import Executor
from streamer.queue.fairness import Capacity
from streamer.queue.operations import Claim, Edit, Insert, Operation, Write
from streamer.queue.overview import Bounds

_PURGE_SLICE = 500
"""How many records are deleted in one write, so that other writes can run in between."""


class StorageQueue:
    """A `RequestQueue` whose records are in a `Storage`.

    Operations that arrive while the storage writes are collected into the next batch. The storage is first read at the
    first operation. Between operations the queue keeps one entry in memory for each line and for each running request,
    and no waiting records.

    Args:
        storage: of the records. Nothing else may write to it. `close` closes it, too.
        clock: time. Default: the machine's own.
        max_queued: the limit of waiting records; one more is OVERLOADED.
        max_queued_per_owner: the limit of one owner; None: no limit.
        max_queued_per_address: the limit of one address, for requests without authentication; None: no limit.
        immediate: the storage's methods never wait, so that they can run in the caller's own task.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Clock | None = None,
        max_queued: int = 100_000,
        max_queued_per_owner: int | None = None,
        max_queued_per_address: int | None = None,
        immediate: bool = False,
    ) -> None:
        bounds = Bounds(max_queued, max_queued_per_owner, max_queued_per_address)
        self._storage = storage
        self._executor = Executor(storage, Timeline(clock or SystemClock()), bounds)
        self._immediate = immediate
        self._gathered: list[Operation] = []
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._failed = asyncio.Event()

    async def enqueue(self, record: RequestRecord, /) -> Existing | None:
        insert = Insert(record)
        await self._do(insert)
        return insert.result

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
        claim = Claim(worker, limit, lease, Capacity(free_slots, tenant_limit, tenants, lost_limit, lost_running))
        await self._do(claim)
        return claim.result

    async def renew(self, leases: Sequence[Lease], lease: float, /) -> list[Lease]:
        edits = [_by_holder(one, _renewed(one.fence, lease)) for one in leases]
        await self._do_all(edits, allowed=LeaseLost)
        return [one for one, edit in zip(leases, edits, strict=True) if edit.problem is not None]

    async def update_progress(
        self, claim: Lease, /, *, seq: int, percentage: float, message: str = "", metadata: bytes = b""
    ) -> None:
        await self._do(_by_holder(claim, lambda now: Progressed(now, claim.fence, seq, percentage, message, metadata)))

    async def complete(self, claim: Lease, /, *, seq: int, result: bytes, progress: LastReport | None = None) -> None:
        await self._do(_ending(claim, lambda now: Completed(now, claim.fence, seq, result, progress)))

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
        await self._do(_ending(claim, lambda now: Failed(now, claim.fence, seq, error, retry_at, cause, progress)))

    async def release(self, leases: Sequence[Lease], /) -> None:
        edits = [_by_holder(one, _released(one.fence)) for one in leases]
        await self._do_all(edits, allowed=LeaseLost)

    async def cancel(self, key: Key, /, message: str = "The request was cancelled") -> RequestRecord:
        return await self._by_operator(key, lambda now: Cancelled(now, message))

    async def requeue(self, key: Key, /) -> RequestRecord:
        return await self._by_operator(key, Requeued)

    async def mark_delivered(self, keys: Sequence[Key], /) -> None:
        await self._do_all([Edit(key, _delivered) for key in keys])

    async def undelivered(self, owner: str, /, limit: int = 1000) -> Sequence[Key]:
        rows = await self._page(Filter(owner=owner, undelivered=True), limit, oldest_first=True)
        return [row.record.key for row in rows]

    async def get(self, key: Key, /) -> RequestRecord | None:
        self._check_open()
        (row,) = await self._storage.get([key])
        return None if row is None else row.record

    async def find(self, id: str, /, limit: int = 100) -> list[RequestSummary]:  # noqa: A002 - the contract's name
        return [summarize(row.record) for row in await self._page(Filter(id=id), limit)]

    async def list(
        self,
        *,
        owner: str | None = None,
        status: Status | None = None,
        action: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        after = None if cursor is None else decode_cursor(cursor)
        wanted = Filter(owner=owner, status=status, action=action)
        rows = await self._page(wanted, limit + 1, after=after)
        page = rows[:limit]
        more = len(rows) > limit and page
        last = encode_cursor(page[-1].record.created_at, page[-1].number) if more else None
        return Page([summarize(row.record) for row in page], last)

    async def counts(self) -> dict[Status, int]:
        self._check_open()
        return {**dict.fromkeys(Status, 0), **await self._storage.counts()}

    async def purge(self, finished_before: float, /) -> int:
        deleted: int = 0
        while True:
            write = Write(lambda: self._storage.delete(finished_before, _PURGE_SLICE))
            await self._do(write)
            deleted += write.result
            if write.result < _PURGE_SLICE:
                return deleted

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        write = Write(lambda: self._storage.keep(name, value, replace=replace))
        await self._do(write)
        kept: bytes = write.result
        return kept

    async def failed(self) -> None:
        await self._failed.wait()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            await asyncio.wait([self._writer])
        await self._storage.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the store is closed")

    async def _page(self, wanted: Filter, limit: int, **order: Any) -> Sequence[Any]:
        self._check_open()
        return await self._storage.page(wanted, limit, **order)

    async def _by_operator(self, key: Key, event: Callable[[float], Event]) -> RequestRecord:
        def decide(record: RequestRecord | None, now: float) -> RequestRecord:
            if record is None:
                raise not_found(key[1])
            return advance(record, event(now))

        edit = Edit(key, decide)
        await self._do(edit)
        changed: RequestRecord = edit.result
        return changed

    async def _do(self, operation: Operation) -> None:
        await self._run((operation,))
        if operation.problem is not None:
            raise operation.problem

    async def _do_all(self, operations: Collection[Operation], allowed: type[Exception] | tuple[()] = ()) -> None:
        await self._run(operations)
        for one in operations:
            if one.problem is not None and not isinstance(one.problem, allowed):
                raise one.problem

    async def _run(self, operations: Collection[Operation]) -> None:
        if self._immediate and operations and not self._closed:
            await self._executor.perform(operations)
            return
        self._check_open()
        if not operations:
            return
        self._gathered += operations
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        done = asyncio.get_running_loop().create_future()
        for one in operations:
            one.done = done
        await done

    async def _write(self) -> None:
        operations: list[Operation] = []
        try:
            while self._gathered:
                operations, self._gathered = self._gathered, []
                await self._executor.perform(operations)
                if any(isinstance(one.problem, StoreClosed) for one in operations):
                    self._failed.set()
                _wake(operations)
        finally:
            self._writer = None
            _wake([*operations, *self._gathered])


def _wake(operations: Iterable[Operation]) -> None:
    """Resolves the callers' futures."""
    for one in operations:
        if one.done is not None and not one.done.done():
            if not one.settled:
                one.refuse(StoreUnavailable("the queue was stopped during this operation"))
            one.done.set_result(None)


def _renewed(fence: int, lease: float) -> Callable[[float], Event]:
    return lambda now: Renewed(now, fence, now + lease)


def _released(fence: int) -> Callable[[float], Event]:
    return lambda now: Released(now, fence)


def _by_holder(claim: Lease, event: Callable[[float], Event]) -> Edit:
    def decide(record: RequestRecord | None, now: float) -> RequestRecord:
        if record is None:
            raise LeaseLost(f"request {claim.id!r} no longer exists")
        return advance(record, event(now))

    return Edit((claim.owner, claim.id), decide)


def _ending(claim: Lease, event: Callable[[float], Completed | Failed]) -> Edit:
    def decide(record: RequestRecord | None, now: float) -> RequestRecord:
        if record is None:
            raise LeaseLost(f"request {claim.id!r} no longer exists")
        ended = event(now)
        return record if same_outcome(record, ended) else advance(record, ended)

    return Edit((claim.owner, claim.id), decide)


def _delivered(record: RequestRecord | None, now: float) -> RequestRecord | None:
    return advance(record, Delivered(now)) if record is not None and record.terminal else record
