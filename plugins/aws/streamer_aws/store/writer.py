"""Executes the writes of a store: which call each makes, and what a refusal means."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from streamer.contracts.stores import Existing, Key, Lease
from streamer.core.clock import Clock
from streamer.core.errors import Error, LeaseLost, StoreError, StoreUnavailable
from streamer.core.records import RequestRecord
from streamer.core.transitions import Completed, Delivered, Event, Failed, Progressed, Released, Renewed, advance
from streamer.queue.common import Timeline, existing, same_outcome
from streamer_aws.dynamodb.calls import Calls, Refused, Throttled, TooLarge, all_of
from streamer_aws.dynamodb.values import Item, micros
from streamer_aws.store import writes
from streamer_aws.store.blobs import MAX_ITEM, RESERVED, Blobs
from streamer_aws.store.items import Layout, Stored, gone, size, to_item, to_stored
from streamer_aws.store.limits import lightened, missing, overloaded, too_large, too_large_result
from streamer_aws.store.queue_capacity import QueueCapacity

CONFLICTS: Final = 20
"""How often a write is repeated when other writes came first."""


class Writer:
    """Writes records.

    Args:
        calls: to the table.
        layout: of the indexes.
        clock: time.
        queue: the number of waiting requests.
        blobs: the storage of large content.
    """

    def __init__(self, calls: Calls, layout: Layout, clock: Clock, queue: QueueCapacity, blobs: Blobs) -> None:
        self.queue = queue
        self.blobs = blobs
        self._calls = calls
        self._layout = layout
        self._time = Timeline(clock)
        self._newest = 0

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return self._time.now()

    def new_number(self) -> int:
        """Microseconds since 1970 UTC, always increasing."""
        self._newest = max(self._newest + 1, micros(self.now()))
        return self._newest

    def new_version(self) -> str:
        """A unique name for a write."""
        return secrets.token_hex(6)

    async def enqueue(self, record: RequestRecord) -> Existing | None:
        stored = Stored(record, self.new_number(), self.new_version())
        try:
            await self.queue.enter(record.key)
        except Error:
            stored_before = await self.read(record.key)
            if stored_before is not None:
                return existing(stored_before, record)
            raise
        except Throttled as problem:
            raise overloaded() from problem
        try:
            item = await self.blobs.item(stored, self._layout)
            await self._calls.make("put_item", **writes.create(self._calls.table, item, self.now()))
        except Refused as refused:
            if not _ours(refused, stored.version):
                existing_row = refused.item
                assert existing_row is not None, "only the condition can refuse it"
                self.queue.left(record.key)
                return existing(await self.blobs.whole(to_stored(existing_row)), record)
        except BaseException as problem:
            self.queue.left(record.key)
            if isinstance(problem, TooLarge):
                raise too_large(size(to_item(stored, self._layout))) from None
            if isinstance(problem, Throttled):
                raise overloaded() from problem
            raise
        self.queue.entered(record.key)
        return None

    async def renew(self, leases: Sequence[Lease], lease: float) -> list[Lease]:
        now = self.now()

        async def one(claim: Lease) -> bool:
            event = Renewed(now, claim.fence, now + lease)
            version = self.new_version()
            parameters = writes.renew(self._calls.table, claim[:2], event, self._layout, version)
            return await self._changed(parameters, version) is None

        kept = await all_of(map(one, leases))
        return [claim for claim, it_is in zip(leases, kept, strict=True) if not it_is]

    async def update_progress(self, claim: Lease, event: Progressed) -> None:
        version = self.new_version()
        try:
            refused = await self._changed(writes.progress(self._calls.table, claim[:2], event, version), version)
        except TooLarge:
            raise StoreError(f"the progress of request {claim.id!r} does not fit into a DynamoDB item") from None
        if refused is not None:
            # Lost, or its percentage would decrease: the transition decides which.
            await self._apply(claim[:2], event, refused.item)

    async def complete(self, claim: Lease, event: Completed) -> None:
        try:
            refused = await self._complete(claim, event)
        except TooLarge:
            if event.progress is not None:
                # The result is more important than the last progress.
                await self.complete(claim, msgspec.structs.replace(event, progress=None))
                return
            raise too_large_result(len(event.result)) from None
        if refused is not None:
            await self._repeated_or_lost(claim, event, refused.item)

    async def fail(self, claim: Lease, event: Failed) -> None:
        existing_row = await self._get(claim[:2])
        if existing_row is not None and same_outcome(to_stored(existing_row).record, event):
            return
        await self._apply(claim[:2], event, existing_row)

    async def release(self, leases: Sequence[Lease]) -> None:
        now = self.now()

        async def one(claim: Lease) -> None:
            try:
                await self.apply(claim[:2], Released(now, claim.fence))
            except LeaseLost:
                return

        await all_of(map(one, leases))

    async def mark_delivered(self, keys: Sequence[Key]) -> None:
        event = Delivered(self.now())

        async def one(key: Key) -> None:
            version = self.new_version()
            await self._changed(writes.deliver(self._calls.table, key, event, version), version)

        await all_of(map(one, keys))

    async def mark_sent(self, keys: Sequence[Key]) -> None:
        async def one(key: Key) -> None:
            version = self.new_version()
            await self._changed(writes.sent(self._calls.table, key, version), version)

        await all_of(map(one, keys))

    async def apply(self, key: Key, event: Event) -> Stored:
        """The record after the event, without its content in S3.

        Raises:
            Error: NOT_FOUND.
            LeaseLost, TransitionRefused: as `transitions.advance`.
        """
        return await self._apply(key, event, await self._get(key))

    async def read(self, key: Key) -> RequestRecord | None:
        """The record, as of its last write."""
        item = await self._get(key)
        return None if item is None else await self.blobs.whole(to_stored(item))

    async def purge(self, keys: Sequence[Key], finished_before: float) -> int:
        """Deletes those of them that ended before then. Returns how many."""

        async def one(key: Key) -> bool:
            try:
                await self._calls.make("delete_item", **writes.delete(self._calls.table, key, finished_before))
            except Refused:
                return False
            return True

        return sum(await all_of(map(one, keys)))

    async def _get(self, key: Key) -> Item | None:
        answer = await self._calls.make(
            "get_item", TableName=self._calls.table, Key=writes.key_of(key), ConsistentRead=True
        )
        item: Item | None = answer.get("Item")
        return None if item is None or gone(item, self.now()) else item

    async def _complete(self, claim: Lease, event: Completed) -> Refused | None:
        version = self.new_version()
        if len(event.result) <= MAX_ITEM - RESERVED:
            parameters = writes.complete(self._calls.table, claim[:2], event, self._layout, version)
            try:
                return await self._changed(parameters, version)
            except TooLarge:
                # It does not fit into the item together with its payload.
                pass
        name = await self.blobs.put(claim[:2], event.result)
        parameters = writes.complete(self._calls.table, claim[:2], event, self._layout, version, name)
        return await self._changed(parameters, version)

    async def _apply(self, key: Key, event: Event, item: Item | None) -> Stored:
        version = self.new_version()
        for _ in range(CONFLICTS):
            if item is None:
                raise missing(key, event)
            before = to_stored(item)
            after = Stored(advance(before.record, event), before.number, version, before.away)
            try:
                written = await self._replace(before, after)
            except Refused as refused:
                item = refused.item
            else:
                self.queue.changed(before.record.status, written.record.status)
                return written
        raise StoreUnavailable(f"request {key[1]!r} keeps changing; {CONFLICTS} writes came too late")

    async def _replace(self, before: Stored, after: Stored) -> Stored:
        """The item to write, without its history if it would be too large."""
        try:
            await self._put_instead(before, after)
        except TooLarge:
            after = after._replace(record=lightened(after.record))
            try:
                await self._put_instead(before, after)
            except TooLarge:
                raise StoreUnavailable(f"request {after.record.id!r} does not fit into a DynamoDB item") from None
        return after

    async def _put_instead(self, before: Stored, after: Stored) -> None:
        item = to_item(after, self._layout)
        try:
            await self._calls.make("put_item", **writes.replace(self._calls.table, item, before.version))
        except Refused as refused:
            if not _ours(refused, after.version):
                raise

    async def _changed(self, parameters: dict[str, Any], version: str) -> Refused | None:
        """None when the change is stored, by this call or by an earlier one whose response was lost; otherwise the
        refusal.
        """
        try:
            await self._calls.make("update_item", **parameters)
        except Refused as refused:
            return None if _ours(refused, version) else refused
        return None

    async def _repeated_or_lost(self, claim: Lease, event: Completed, item: Item | None) -> None:
        if item is None:
            raise missing(claim[:2], event)
        stored = to_stored(item)
        if not same_outcome(await self.blobs.whole(stored), event):
            # The condition and the transition agree: this raises.
            advance(stored.record, event)


def _ours(refused: Refused, version: str) -> bool:
    """Whether the write was refused because it had been made already, and its response was lost."""
    return refused.item is not None and refused.item["version"]["S"] == version
