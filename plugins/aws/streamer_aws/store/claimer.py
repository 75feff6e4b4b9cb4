"""Claims: candidates from the index, each decided by one conditional write."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Final

from streamer.contracts.stores import Claims, Key
from streamer.core.clock import Clock
from streamer.core.errors import Error, StoreUnavailable, TransitionRefused
from streamer.core.records import RequestRecord, Status, due, exhausted, expired
from streamer.core.transitions import Abandoned, Claimed, Event, Expired
from streamer.queue.fairness import Capacity
from streamer_aws.dynamodb.calls import Calls, Refused, all_of
from streamer_aws.dynamodb.values import Item, before
from streamer_aws.store import writes
from streamer_aws.store.candidates import Entry, Turns, choose
from streamer_aws.store.items import Layout, Stored, gone, to_stored
from streamer_aws.store.scanner import Scanner
from streamer_aws.store.table import EXPIRIES
from streamer_aws.store.writer import Writer

ROUNDS: Final = 3
"""How often a claim chooses again when other processes claimed its choices."""
EXPIRY_INTERVAL: Final = 1.0
"""Seconds between two searches for expired requests that a claim does not see anyway."""
EXPIRIES_AT_ONCE: Final = 100
_NOTHING: Final = Claims([], [], None)
FOREIGN_INTERVAL: Final = 5.0
"""Seconds after which a service must check the requests of its subscribers: other services may have run or ended them
meanwhile.
"""


class Claimer:
    """Claims due requests.

    Args:
        calls: to the table.
        writer: for everything except plain claims.
        layout: of the indexes.
        clock: for the time between two checks of other services' changes.
    """

    def __init__(self, calls: Calls, writer: Writer, layout: Layout, clock: Clock) -> None:
        self._calls = calls
        self._writer = writer
        self._layout = layout
        self._scanners = [Scanner(calls, shard) for shard in range(layout.shards)]
        self._turns = Turns()
        self._looked_at: float | None = None
        self._clock = clock
        self._told_at = clock.monotonic()

    async def claim(
        self,
        worker: str,
        limit: int,
        lease: float,
        free_slots: Mapping[str, int] | None,
        tenant_limit: int | None,
        tenants: Mapping[str, int] | None,
        lost_limit: int | None,
        lost_running: int,
    ) -> Claims:
        now = self._writer.now()
        used = _Used(free_slots, tenant_limit, tenants, lost_limit, lost_running)
        capacity = used.capacity()
        overdue, entries = await asyncio.gather(self._overdue(now), self._candidates(now, limit, capacity))
        doomed = {key: entry for key, entry in entries.items() if entry.due(now) and entry.exhausted}
        late = {key for key, entry in entries.items() if entry.expired(now)} | set(overdue)
        event = Claimed(now, worker, now + lease)
        failures: list[StoreUnavailable] = []
        ended = await all_of(
            self._end(key, Abandoned(now) if key in doomed else Expired(now), failures)
            for key in sorted({*doomed, *late})
        )
        for key in {*doomed, *late}:
            entries.pop(key, None)
        taken: list[RequestRecord] = []
        ready = [entry for entry in entries.values() if entry.due(now)]
        for _ in range(ROUNDS):
            chosen = choose(ready, limit - len(taken), capacity, self._turns, now)
            if not chosen:
                break
            claimed = await all_of(self._take(entry, event, failures) for entry in chosen)
            for entry, record in zip(chosen, claimed, strict=True):
                if record is not None:
                    taken.append(record)
                    self._turns.served(entry.line, self._writer.new_number())
                    used.count(entry, record)
            # Choices that other processes claimed must not use up the slots of the rest.
            capacity = used.capacity()
            tried = {entry.place for entry in chosen}
            ready = [entry for entry in ready if entry.place not in tried]
        if failures and not taken and not any(ended):
            raise failures[0]
        later = [entry for entry in entries.values() if not entry.due(now)]
        times = [entry.due_at for entry in later if capacity.for_action(entry.action)]
        times += [now for entry in ready if _fits(entry, capacity)]
        times += [now + lease for record in taken if capacity.for_action(record.action)]
        return Claims(
            taken, [record for record in ended if record is not None], min(times, default=None), self._others()
        )

    async def claim_one(self, key: Key, worker: str, lease: float, *, lost: bool) -> Claims:
        """A new request is claimed by one call, without reading it before."""
        now = self._writer.now()
        event = Claimed(now, worker, now + lease)
        seen, unread = (Status.PENDING, 0), True
        for _ in range(ROUNDS):
            try:
                taken = await self._whole(to_stored(await self._write(key, seen, event, unread=unread)))
                return Claims([] if taken is None else [taken], [], None)
            except Refused as refused:
                if refused.item is None or gone(refused.item, now):
                    return _NOTHING
                record = to_stored(refused.item).record
            if not due(record, now) and not expired(record, now):
                return _NOTHING
            if record.status is Status.PROCESSING or expired(record, now):
                if not (lost or exhausted(record) or expired(record, now)):
                    return Claims([], [], now)
                return await self._settle(record, event)
            seen, unread = (record.status, record.fence), False
        return _NOTHING

    async def _settle(self, record: RequestRecord, event: Claimed) -> Claims:
        """Everything except plain claims: a lease expired, or the request waited too long."""
        failures: list[StoreUnavailable] = []
        if expired(record, event.at):
            ended = await self._end(record.key, Expired(event.at), failures)
        elif exhausted(record):
            ended = await self._end(record.key, Abandoned(event.at), failures)
        else:
            taken = await self._end(record.key, event, failures)
            ended = None
            if taken is not None:
                return Claims([taken], [], None)
        if failures:
            raise failures[0]
        return _NOTHING if ended is None else Claims([], [ended], None)

    def _others(self) -> bool:
        """Whether to check the changes of other services: the table does not announce them."""
        now = self._clock.monotonic()
        if now - self._told_at < FOREIGN_INTERVAL:
            return False
        self._told_at = now
        return True

    async def _candidates(self, now: float, limit: int, capacity: Capacity) -> dict[Key, Entry]:
        timed = all_of(scanner.timed(now, capacity) for scanner in self._scanners)
        ready = all_of(scanner.ready(max(limit, 1), capacity) for scanner in self._scanners)
        lanes = itertools.chain(*await asyncio.gather(timed, ready))
        return {(entry.owner, entry.id): entry for lane in lanes for entry in lane}

    async def _take(self, entry: Entry, event: Claimed, failures: list[StoreUnavailable]) -> RequestRecord | None:
        """The record, now claimed by us; None when another process was faster, or the table failed."""
        key = (entry.owner, entry.id)
        if not entry.waits:
            return await self._end(key, event, failures)
        try:
            item = await self._write(key, (entry.status, entry.fence), event)
        except Refused:
            return None
        except StoreUnavailable as problem:
            # Other records that were claimed at the same time must not be lost because of it.
            failures.append(problem)
            return None
        return await self._whole(to_stored(item))

    async def _write(self, key: Key, seen: tuple[Status, int], event: Claimed, *, unread: bool = False) -> Item:
        """The item, now claimed by us.

        Raises:
            Refused: it has changed.
            StoreUnavailable: the table failed.
        """
        version = self._writer.new_version()
        parameters = writes.claim(self._calls.table, key, seen, event, self._layout, version, unread=unread)
        try:
            item: Item = (await self._calls.make("update_item", **parameters))["Attributes"]
        except Refused as refused:
            # It is ours if the first response was lost and the call was repeated.
            if refused.item is None or refused.item["version"]["S"] != version:
                raise
            item = refused.item
        self._writer.queue.less(1)
        return item

    async def _end(self, key: Key, event: Event, failures: list[StoreUnavailable]) -> RequestRecord | None:
        """The record after the event; None when its current state does not allow it, or the table failed."""
        try:
            stored = await self._writer.apply(key, event)
        except (TransitionRefused, Error):
            # The index lags behind: it has ended meanwhile, or was deleted.
            return None
        except StoreUnavailable as problem:
            failures.append(problem)
            return None
        # Reporting its end does not need the payload.
        return await self._whole(stored) if isinstance(event, Claimed) else stored.record

    async def _whole(self, stored: Stored) -> RequestRecord | None:
        """The claimed record; None without its payload. It stays claimed, and is attempted again when its lease
        expires.
        """
        try:
            return await self._writer.blobs.whole(stored)
        except StoreUnavailable:
            return None

    async def _overdue(self, now: float) -> list[Key]:
        """Keys of requests that waited too long, in all lanes."""
        if self._looked_at is not None and 0 <= now - self._looked_at < EXPIRY_INTERVAL:
            return []
        self._looked_at = now
        answers = await all_of(
            self._calls.make(
                "query",
                TableName=self._calls.table,
                IndexName=EXPIRIES,
                KeyConditionExpression="#expiry = :expiry AND #expires < :now",
                ExpressionAttributeNames={"#expiry": "expiry", "#expires": "expires"},
                ExpressionAttributeValues={
                    ":expiry": {"S": f"expiry#{shard}"},
                    ":now": {"S": f"{before(now)}~"},
                },
                Limit=EXPIRIES_AT_ONCE,
            )
            for shard in range(self._layout.shards)
        )
        return [(item["owner"]["S"], item["id"]["S"]) for answer in answers for item in answer["Items"]]


class _Used:
    """What a claim may still take, counted down by what it actually took.

    Args:
        free_slots: as in `RequestQueue.claim`, and so the others.
    """

    def __init__(
        self,
        free_slots: Mapping[str, int] | None,
        tenant_limit: int | None,
        tenants: Mapping[str, int] | None,
        lost_limit: int | None,
        lost_running: int,
    ) -> None:
        self._free_slots = dict(free_slots or {})
        self._tenant_limit = tenant_limit
        self._tenants = dict(tenants or {})
        self._lost_limit = lost_limit
        self._lost_running = lost_running

    def capacity(self) -> Capacity:
        """For one round of choices."""
        return Capacity(self._free_slots, self._tenant_limit, self._tenants, self._lost_limit, self._lost_running)

    def count(self, entry: Entry, record: RequestRecord) -> None:
        """Counts one more running request."""
        if record.action in self._free_slots:
            self._free_slots[record.action] -= 1
        if record.tenant:
            self._tenants[record.tenant] = self._tenants.get(record.tenant, 0) + 1
        if not entry.waits:
            self._lost_running += 1
            if self._lost_limit is not None:
                self._lost_limit = 0 if entry.last else self._lost_limit - 1


def _fits(entry: Entry, capacity: Capacity) -> bool:
    if not entry.waits:
        return capacity.fits(entry.expired_lease)
    return capacity.for_action(entry.action) and capacity.for_tenant(entry.tenant)
