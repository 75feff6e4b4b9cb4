"""The queue on a DynamoDB table."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from streamer.contracts.stores import Claims, Existing, Key, Lease, Page, Waiting
from streamer.core.attempts import Cause, LastReport
from streamer.core.clock import Clock, SystemClock
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord, Status
from streamer.core.summaries import RequestSummary
from streamer.core.transitions import Cancelled, Completed, Failed, Progressed, Requeued
from streamer_aws.dynamodb.calls import Calls
from streamer_aws.dynamodb.kept_values import keep
from streamer_aws.dynamodb.values import text
from streamer_aws.store.blobs import Blobs
from streamer_aws.store.claimer import Claimer
from streamer_aws.store.items import Layout
from streamer_aws.store.queue_capacity import QueueCapacity
from streamer_aws.store.reader import Reader
from streamer_aws.store.sweeper import Sweeper
from streamer_aws.store.writer import Writer

KEEPER: Final = "streamer"
"""The owner of items that belong to the store as a whole. No request has this owner."""


class DynamoStore:
    """A `WokenQueue` on one table that any number of processes share. The package's docstring lists its weaker
    promises.

    Args:
        client: aiobotocore's DynamoDB client; its creator closes it.
        table: name of the table, created by `tables.create`.
        clock: time.
        max_queued: the limit of waiting records; one more is OVERLOADED. Approximate, see `queue_capacity`.
        max_queued_per_owner: the limit of one owner; None: no limit of its own. Once that many wait in total, it costs
            a read per request, and more at the limit.
        retention: seconds for which an ended record is kept; then it counts as deleted, and is deleted later.
        shards: the number of shards of the indexes.
        bucket: for content that is too large for an item; None: it is refused.
        s3: aiobotocore's S3 client, if there is a bucket.
        ended_undelivered: ended and undelivered records can be queried.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        *,
        clock: Clock | None = None,
        max_queued: int = 100_000,
        max_queued_per_owner: int | None = None,
        retention: float = 7 * 86400.0,
        shards: int = 1,
        bucket: str | None = None,
        s3: Any = None,
        ended_undelivered: bool = False,
    ) -> None:
        time = clock or SystemClock()
        layout = Layout(shards, retention, ended_undelivered)
        self._calls = Calls(client, table, time)
        queue = QueueCapacity(self._calls, layout, time, max_queued, max_queued_per_owner)
        self._blobs = Blobs(s3, bucket or "", time)
        self._writer = Writer(self._calls, layout, time, queue, self._blobs)
        self._reader = Reader(self._calls, layout)
        self._claimer = Claimer(self._calls, self._writer, layout, time)
        self._sweeper = Sweeper(self._calls, layout)

    async def enqueue(self, record: RequestRecord, /) -> Existing | None:
        return await self._writer.enqueue(record)

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
        return await self._claimer.claim(
            worker, limit, lease, free_slots, tenant_limit, tenants, lost_limit, lost_running
        )

    async def claim_one(self, key: Key, worker: str, lease: float, /, *, lost: bool = True) -> Claims:
        return await self._claimer.claim_one(key, worker, lease, lost=lost)

    async def due(self, stored_before: float, /, limit: int = 500, *, without: Collection[str] = ()) -> list[Waiting]:
        return await self._sweeper.due(self._writer.now(), stored_before, limit, without)

    async def ended_undelivered(self, ended_after: float, ended_before: float, /, limit: int = 500) -> list[Key]:
        """Nothing, unless the store was created with `ended_undelivered`."""
        return await self._sweeper.ended_undelivered(ended_after, ended_before, limit)

    async def mark_sent(self, keys: Sequence[Key], /) -> None:
        await self._writer.mark_sent(keys)

    async def count_queued(self) -> int:
        return await self._writer.queue.count.count()

    async def renew(self, leases: Sequence[Lease], lease: float, /) -> list[Lease]:
        return await self._writer.renew(leases, lease)

    async def update_progress(
        self, claim: Lease, /, *, seq: int, percentage: float, message: str = "", metadata: bytes = b""
    ) -> None:
        event = Progressed(self._writer.now(), claim.fence, seq, percentage, message, metadata)
        await self._writer.update_progress(claim, event)

    async def complete(self, claim: Lease, /, *, seq: int, result: bytes, progress: LastReport | None = None) -> None:
        """Raises:
        LeaseLost: as in the protocol.
        Error: VALIDATION_ERROR: the result does not fit into an item with the payload; the request is still
            running.
        """
        await self._writer.complete(claim, Completed(self._writer.now(), claim.fence, seq, result, progress))

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
        await self._writer.fail(claim, Failed(self._writer.now(), claim.fence, seq, error, retry_at, cause, progress))

    async def release(self, leases: Sequence[Lease], /) -> None:
        await self._writer.release(leases)

    async def cancel(self, key: Key, /, message: str = "The request was cancelled") -> RequestRecord:
        return await self._blobs.whole(await self._writer.apply(key, Cancelled(self._writer.now(), message)))

    async def requeue(self, key: Key, /) -> RequestRecord:
        return await self._blobs.whole(await self._writer.apply(key, Requeued(self._writer.now())))

    async def mark_delivered(self, keys: Sequence[Key], /) -> None:
        await self._writer.mark_delivered(keys)

    async def undelivered(self, owner: str, /, limit: int = 1000) -> Sequence[Key]:
        return await self._reader.undelivered(owner, limit, self._writer.now())

    async def get(self, key: Key, /) -> RequestRecord | None:
        return await self._writer.read(key)

    async def find(self, id: str, /, limit: int = 100) -> list[RequestSummary]:  # noqa: A002 - the contract's name
        return await self._reader.find(id, limit, self._writer.now())

    async def list(
        self,
        *,
        owner: str | None = None,
        status: Status | None = None,
        action: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        return await self._reader.page(owner, status, action, limit, cursor, self._writer.now())

    async def counts(self) -> dict[Status, int]:
        return await self._reader.counts(self._writer.now())

    async def purge(self, finished_before: float, /) -> int:
        keys = await self._reader.ended(finished_before, self._writer.now())
        return await self._writer.purge(keys, finished_before)

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        return await keep(self._calls, {"owner": text(KEEPER), "id": text(name)}, value, replace=replace)

    async def failed(self) -> None:
        """A table that does not respond now may respond later."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        await self._calls.close()
