"""Executes batches of operations on a storage: reads, decides by `transitions.advance`, writes, and updates its
overview.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

from streamer.contracts.storage import Change, Expiring, Filter, Line, Ready, Row, Storage, Timed
from streamer.contracts.stores import Claims, Key
from streamer.core.errors import StoreError, StoreUnavailable, StreamerError, TransitionRefused
from streamer.core.records import RequestRecord, Status, due, exhausted, expired, rebase_clock
from streamer.core.transitions import Abandoned, Claimed, Expired, advance
from streamer.queue.common import CLOCK_STEP, Timeline, existing
from streamer.queue.fairness import ExpiredLease
from streamer.queue.operations import Claim, Edit, Insert, Operation, Write
from streamer.queue.overview import Bounds, Overview, expired_lease

_SLICE: Final = 256
"""Maximum number of records that one claim expires, and that are read at once where all are read."""
_TRIES: Final = 8
"""How often a record is read again that was changed between reading and writing."""


class Executor:
    """Executes one batch at a time; the caller ensures that batches do not overlap.

    Args:
        storage: of the records.
        time: the time of each batch.
        bounds: limits for waiting records.
    """

    def __init__(self, storage: Storage, time: Timeline, bounds: Bounds) -> None:
        self._storage = storage
        self._time = time
        self._newest = -math.inf
        """The time of the previous batch."""
        self._overview = Overview(bounds)
        self._loaded = False
        """Whether the overview agrees with the storage."""

    async def perform(self, operations: Collection[Operation]) -> None:
        """Settles each operation, with its result or with the caller's error."""
        try:
            now = self._time.now()
            if not self._loaded:
                await self._load(now)
            if now < self._newest:
                await self._rebase_clock(now)
            self._newest = now
            if len(operations) == 1:
                (one,) = operations
                if not isinstance(one, Edit) or not await self._edit_one(one, now):
                    await self._perform_one(one, now)
                return
            inserts: list[Insert] = []
            edits: list[Edit] = []
            others: list[Operation] = []
            for one in operations:
                kind = type(one)
                (inserts if kind is Insert else edits if kind is Edit else others).append(one)  # type: ignore[arg-type]
            if inserts:
                await self._insert(inserts)
            if edits:
                await self._edit(edits, now)
            for one in others:
                await self._perform_one(one, now)
        except Exception as problem:  # noqa: BLE001 - each caller gets it
            # What the storage has written is unknown, so it is read again before the next batch.
            self._loaded = False
            if not isinstance(problem, StreamerError):
                failure = StoreError(f"the storage failed: {type(problem).__name__}: {problem}")
                failure.__cause__, problem = problem, failure
            for one in operations:
                if not one.settled:
                    one.refuse(problem)

    async def _perform_one(self, one: Operation, now: float) -> None:
        if isinstance(one, Insert):
            await self._insert((one,))
        elif isinstance(one, Edit):
            await self._edit((one,), now)
        elif isinstance(one, Claim):
            one.succeed(await self._claim(one, now))
        elif isinstance(one, Write):
            one.succeed(await one.call())

    async def _load(self, now: float) -> None:
        (found,) = await self._storage.candidates([Timed(Status.PROCESSING)])
        running = [row.record for row in await self._rows([one.key for one in found]) if row is not None]
        self._overview.load(await self._storage.lines(), running)
        self._loaded = True
        if self._newest == -math.inf:
            newest = await self._storage.page(Filter(), 1)
            times = [*(row.record.created_at for row in newest), *(record.updated_at for record in running)]
            if (written := max(times, default=now)) - now > CLOCK_STEP:
                self._newest = written

    async def _rebase_clock(self, now: float) -> None:
        """The clock was set back: future times move back too, so that the remaining waits stay the same; see
        `records.rebase_clock`.
        """
        queries = (Timed(Status.PROCESSING), Timed(Status.RETRYING), Expiring(math.inf, None))
        keys = [one.key for found in await self._storage.candidates(queries) for one in found]
        for row in await self._rows(list(dict.fromkeys(keys))):
            if row is not None and (moved := rebase_clock(row.record, now)) is not row.record:
                await self._storage.replace([Change(row.version, moved)])
        await self._load(now)

    async def _rows(self, keys: Sequence[Key]) -> list[Row | None]:
        rows: list[Row | None] = []
        for start in range(0, len(keys), _SLICE):
            rows += await self._storage.get(keys[start : start + _SLICE])
        return rows

    async def _insert(self, inserts: Sequence[Insert]) -> None:
        while inserts:
            overview = self._overview
            fitting: list[Insert] = []
            refused: list[Insert] = []
            for one in inserts:
                one.problem = overview.full(one.record)
                if one.problem is None:
                    overview.changed(None, one.record)
                    fitting.append(one)
                else:
                    refused.append(one)
            rows = await self._storage.insert([one.record for one in fitting]) if fitting else []
            freed = False
            for one, row in zip(fitting, rows, strict=True):
                if row is not None:
                    freed = True
                    overview.removed(one.record)
                    one.result = existing(row.record, one.record)
                one.settled = True
            inserts = await self._refuse(refused, again=freed) if refused else []

    async def _refuse(self, refused: Sequence[Insert], *, again: bool) -> list[Insert]:
        """Answers those without capacity and those that are already stored; returns those to try again."""
        rows = await self._storage.get([one.record.key for one in refused])
        left = []
        for one, row in zip(refused, rows, strict=True):
            if row is not None:
                one.succeed(existing(row.record, one.record))
            elif again:
                left.append(one)
            else:
                one.settled = True
        return left

    async def _edit(self, edits: Sequence[Edit], now: float) -> None:
        for _ in range(_TRIES):
            keys = [*{one.key: None for one in edits}]
            rows = await self._storage.get(keys)
            records = {key: None if row is None else row.record for key, row in zip(keys, rows, strict=True)}
            for one in edits:
                try:
                    one.result = records[one.key] = one.decide(records[one.key], now)
                    one.problem = None
                except StreamerError as problem:
                    one.problem = problem
            pairs = [
                (row, after)
                for row, after in zip(rows, records.values(), strict=True)
                if row is not None and after is not None and after is not row.record
            ]
            lost = await self._replace(pairs) if pairs else ()
            for one in edits:
                one.settled = one.key not in lost
            if not lost:
                return
            edits = [one for one in edits if not one.settled]
        raise StoreUnavailable("another process keeps changing a record of this storage")

    async def _edit_one(self, edit: Edit, now: float) -> bool:
        """The usual case, in fewer steps. False when the record was changed since it was read."""
        (row,) = await self._storage.get((edit.key,))
        before = None if row is None else row.record
        try:
            after = edit.decide(before, now)
        except StreamerError as problem:
            edit.refuse(problem)
            return True
        if row is not None and after is not None and after is not before:
            (done,) = await self._storage.replace((Change(row.version, after),))
            if not done:
                self._loaded = False
                return False
            self._overview.changed(before, after)
        edit.succeed(after)
        return True

    async def _replace(
        self, pairs: Sequence[tuple[Row, RequestRecord]], *, turn_taken: bool = False
    ) -> Collection[Key]:
        """Writes, and returns the keys of records that were changed since they were read."""
        written = await self._storage.replace([Change(row.version, after) for row, after in pairs])
        lost = set()
        for (row, after), done in zip(pairs, written, strict=True):
            if done:
                self._overview.changed(row.record, after, turn_taken=turn_taken)
            else:
                self._loaded = False
                lost.add(after.key)
        return lost

    async def _claim(self, claim: Claim, now: float) -> Claims:
        overview = self._overview
        over = overview.find_leases_over(now)
        ended: list[RequestRecord] = []
        if over or now >= overview.next_expiry:
            ended, more = await self._end_overdue(over, now)
            if more:
                return Claims([], ended, now)
            over = overview.find_leases_over(now)
        if overview.has_retries:
            await self._find_retries(now)
        leases = [expired_lease(record) for record in over]
        turns = overview.lines.take(claim.limit, claim.capacity, leases)
        taken = await self._take(turns, claim, now) if turns else []
        return Claims(taken, ended, overview.next_due(now, claim.capacity))

    async def _end_overdue(self, over: Collection[RequestRecord], now: float) -> tuple[list[RequestRecord], bool]:
        """Ends requests that can no longer run: those whose last lease expired, and those that waited too long. True
        when there may be more.
        """
        keys = [record.key for record in over if exhausted(record) or expired(record, now)]
        more = False
        if now >= self._overview.next_expiry:
            (found,) = await self._storage.candidates([Expiring(now, _SLICE)])
            keys += [one.key for one in found]
            more = len(found) == _SLICE
        edits = [Edit(key, _end) for key in keys]
        if edits:
            await self._edit(edits, now)
        if now >= self._overview.next_expiry and not more:
            (found,) = await self._storage.candidates([Expiring(math.inf, 1)])
            self._overview.next_expiry = found[0].time if found else math.inf
        return [one.result for one in edits if one.result is not None and one.result.terminal], more

    async def _find_retries(self, now: float) -> None:
        overview = self._overview
        if overview.retries_may_be_due(now):
            (found,) = await self._storage.candidates([Timed(Status.RETRYING, overview.ready_until, now)])
            overview.retries_due(found, now)
        if actions := overview.retry_times_unknown():
            queries = [Timed(Status.RETRYING, overview.ready_until, action=action, limit=1) for action in actions]
            for action, found in zip(actions, await self._storage.candidates(queries), strict=True):
                overview.retry_time_known(action, found[0].time if found else math.inf)

    async def _take(self, turns: Sequence[ExpiredLease | Line], claim: Claim, now: float) -> list[RequestRecord]:
        """Claims the records whose turn it is."""
        counts: dict[Line, int] = {}
        for turn in turns:
            if isinstance(turn, Line):
                counts[turn] = counts.get(turn, 0) + 1
        queries = [Ready(line, self._overview.ready_until, count) for line, count in counts.items()]
        found = await self._storage.candidates(queries) if queries else ()
        firsts = {line: iter(ones) for line, ones in zip(counts, found, strict=True)}
        keys = []
        for turn in turns:
            if isinstance(turn, ExpiredLease):
                keys.append(turn.record)
            elif (one := next(firsts[turn], None)) is not None:
                keys.append((turn.owner, one.id))
        event = Claimed(now, claim.worker, now + claim.lease)
        pairs = [pair for row in await self._storage.get(keys) if row is not None and (pair := _started(row, event))]
        if len(pairs) < len(turns):
            self._loaded = False  # another process writes to this storage
        lost = await self._replace(pairs, turn_taken=True) if pairs else ()
        return [after for _, after in pairs if after.key not in lost]


def _started(row: Row, event: Claimed) -> tuple[Row, RequestRecord] | None:
    """The row and its record under the claim; None where another process has changed it so that it cannot start."""
    try:
        return row, advance(row.record, event)
    except TransitionRefused:
        return None


def _end(record: RequestRecord | None, now: float) -> RequestRecord | None:
    if record is None or (not due(record, now) and not expired(record, now)):
        return record
    if exhausted(record):
        return advance(record, Abandoned(now))
    return advance(record, Expired(now)) if expired(record, now) else record
