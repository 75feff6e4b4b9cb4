"""The writes of a store: which call each makes, and what a refusal means."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from streamer.contracts.stores import Key, Lease
from streamer.core.clock import Clock
from streamer.core.errors import OVERLOADED, VALIDATION_ERROR, Error, LeaseLost, StoreUnavailable
from streamer.core.records import (
    Completed,
    Delivered,
    Event,
    Failed,
    Progressed,
    Released,
    Renewed,
    RequestRecord,
    advance,
)
from streamer.stores.common import FULL_RETRY_AFTER_MS, Timeline, not_found, same_outcome
from streamer.stores.dynamodb import writes
from streamer.stores.dynamodb.calls import Calls, Refused, Throttled, TooLarge, all_of
from streamer.stores.dynamodb.items import Item, Layout, Stored, gone, micros, size, to_item, to_stored
from streamer.stores.dynamodb.room import QueueRoom

MAX_ITEM: Final = 400 * 1024
"""Bytes of an item, DynamoDB's own limit."""
RESERVED: Final = 32 * 1024
"""Bytes of an item that are kept free when it is stored: for errors, progress and the history of its attempts."""
CONFLICTS: Final = 20
"""How often a write that others came before is made anew."""


class Writer:
    """Writes records.

    Args:
        calls: to the table.
        layout: of the indexes.
        clock: time.
        queue: how many wait.
    """

    def __init__(self, calls: Calls, layout: Layout, clock: Clock, queue: QueueRoom) -> None:
        self.queue = queue
        self._calls = calls
        self._layout = layout
        self._time = Timeline(clock)
        self._newest = 0

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return self._time.now()

    def new_number(self) -> int:
        """Microseconds since 1970 UTC, and more than the last time."""
        self._newest = max(self._newest + 1, micros(self.now()))
        return self._newest

    def new_version(self) -> str:
        """A name for a write that no other write has."""
        return secrets.token_hex(6)

    async def enqueue(self, record: RequestRecord) -> RequestRecord | None:
        """Part of `RequestQueue`."""
        stored = Stored(record, self.new_number(), self.new_version())
        item = to_item(stored, self._layout)
        if (there := size(item)) > MAX_ITEM - RESERVED:
            raise _too_large(there)
        try:
            await self.queue.enter(record.owner)
        except Error:
            stood = await self.read(record.key)
            if stood is not None:
                return stood.record
            raise
        except Throttled as problem:
            raise _overloaded() from problem
        stands: Item | None = None
        try:
            await self._calls.make("put_item", **writes.create(self._calls.table, item, self.now()))
        except Refused as refused:
            stands = refused.item
        except Throttled as problem:
            self.queue.left(record.owner)
            raise _overloaded() from problem
        except BaseException:
            self.queue.left(record.owner)
            raise
        if stands is None or stands["version"]["S"] == stored.version:
            self.queue.entered(record.owner)
            return None
        self.queue.left(record.owner)
        return to_stored(stands).record

    async def renew(self, leases: Sequence[Lease], lease: float) -> list[Lease]:
        """Part of `RequestQueue`."""
        now = self.now()

        async def one(claim: Lease) -> bool:
            event = Renewed(now, claim.fence, now + lease)
            version = self.new_version()
            parameters = writes.renew(self._calls.table, claim[:2], event, self._layout, version)
            return await self._changed(parameters, version) is None

        kept = await all_of(map(one, leases))
        return [claim for claim, it_is in zip(leases, kept, strict=True) if not it_is]

    async def update_progress(self, claim: Lease, event: Progressed) -> None:
        """Part of `RequestQueue`."""
        version = self.new_version()
        refused = await self._changed(writes.progress(self._calls.table, claim[:2], event, version), version)
        if refused is not None:
            # Lost, or its percentage would fall: the table of transitions knows which.
            await self._apply(claim[:2], event, refused.item)

    async def complete(self, claim: Lease, event: Completed) -> None:
        """Part of `RequestQueue`."""
        version = self.new_version()
        parameters = writes.complete(self._calls.table, claim[:2], event, self._layout, version)
        try:
            refused = await self._changed(parameters, version)
        except TooLarge:
            raise _too_large_result(len(event.result)) from None
        if refused is not None:
            self._repeated_or_lost(claim, event, refused.item)

    async def fail(self, claim: Lease, event: Failed) -> None:
        """Part of `RequestQueue`."""
        stands = await self._get(claim[:2])
        if stands is not None and same_outcome(to_stored(stands).record, event):
            return
        await self._apply(claim[:2], event, stands)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Part of `RequestQueue`."""
        now = self.now()

        async def one(claim: Lease) -> None:
            try:
                await self.apply(claim[:2], Released(now, claim.fence))
            except LeaseLost:
                return

        await all_of(map(one, leases))

    async def mark_delivered(self, keys: Sequence[Key]) -> None:
        """Part of `RequestQueue`."""
        event = Delivered(self.now())

        async def one(key: Key) -> None:
            version = self.new_version()
            await self._changed(writes.deliver(self._calls.table, key, event, version), version)

        await all_of(map(one, keys))

    async def apply(self, key: Key, event: Event) -> RequestRecord:
        """The record after the event.

        Raises:
            Error: NOT_FOUND.
            LeaseLost, TransitionRefused: as `records.advance`.
        """
        return await self._apply(key, event, await self._get(key))

    async def read(self, key: Key) -> Stored | None:
        """The record, as of its last write."""
        item = await self._get(key)
        return None if item is None else to_stored(item)

    async def purge(self, keys: Sequence[Key], finished_before: float) -> int:
        """Deletes those of them that ended before. Returns how many."""

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

    async def _apply(self, key: Key, event: Event, item: Item | None) -> RequestRecord:
        version = self.new_version()
        for _ in range(CONFLICTS):
            if item is None:
                raise _missing(key, event)
            stored = to_stored(item)
            if stored.version == version:
                return stored.record
            after = advance(stored.record, event)
            changed = to_item(Stored(after, stored.number, version), self._layout)
            try:
                await self._calls.make("put_item", **writes.replace(self._calls.table, changed, stored.version))
            except Refused as refused:
                item = refused.item
            except TooLarge:
                raise _too_large(size(changed)) from None
            else:
                self.queue.changed(stored.record.status, after.status)
                return after
        raise StoreUnavailable(f"request {key[1]!r} changes all the time; {CONFLICTS} writes came too late")

    async def _changed(self, parameters: dict[str, Any], version: str) -> Refused | None:
        """None when the change stands, by this call or by one before it whose answer was lost; else the refusal."""
        try:
            await self._calls.make("update_item", **parameters)
        except Refused as refused:
            if refused.item is None or refused.item["version"]["S"] != version:
                return refused
        return None

    def _repeated_or_lost(self, claim: Lease, event: Completed, item: Item | None) -> None:
        if item is None:
            raise _missing(claim[:2], event)
        record = to_stored(item).record
        if not same_outcome(record, event):
            # The condition and the table say the same: this raises.
            advance(record, event)


def _missing(key: Key, event: Event) -> Exception:
    if isinstance(event, Progressed | Completed | Failed | Released):
        return LeaseLost(f"request {key[1]!r} is no longer known")
    return not_found(key[1])


def _overloaded() -> Error:
    return Error(
        OVERLOADED,
        "The queue's table takes no more at this time; send it again later",
        {"retry_after_ms": FULL_RETRY_AFTER_MS},
    )


def _too_large(there: int) -> Error:
    return Error(
        VALIDATION_ERROR,
        f"The request takes {there:,} bytes in the queue, which holds {MAX_ITEM - RESERVED:,} of one at most "
        "(a DynamoDB item has 400 KB); send what is large by reference",
        {"size": there, "limit": MAX_ITEM - RESERVED},
    )


def _too_large_result(there: int) -> Error:
    return Error(
        VALIDATION_ERROR,
        f"The result takes {there:,} bytes, which do not fit beside the request's payload into the queue "
        "(a DynamoDB item has 400 KB); let the handler return what is large by reference",
        {"size": there, "limit": MAX_ITEM},
    )
