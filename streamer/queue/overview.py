"""What a queue keeps in memory about its storage: how many records wait in each line, what runs, and when it must look
again.

It keeps no waiting records: only one entry for each line, and one for each running request.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from streamer.contracts.storage import Candidate, Line, LineCount
from streamer.contracts.stores import Key
from streamer.core.records import ADDRESS_SHARE, RequestRecord, Status, last_attempt
from streamer.queue.common import address_full, owner_full, queue_full
from streamer.queue.fairness import Capacity, ExpiredLease, FairQueue

_PENDING, _RETRYING, _PROCESSING = Status.PENDING, Status.RETRYING, Status.PROCESSING


class Bounds(NamedTuple):
    """Limits for waiting requests; None: no limit."""

    max_queued: int
    max_queued_per_owner: int | None = None
    max_queued_per_address: int | None = None


class Overview:
    """Kept up to date by `changed`, which is called for every record that is written.

    Args:
        bounds: limits for waiting requests.

    Attributes:
        lines: counts of the records that can start as soon as a worker is free, in the order of their turns: PENDING
            ones, and RETRYING ones that were due at `ready_until`.
        ready_until: the time of the last look for retries that have become due.
        next_expiry: no waiting record expires before that.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.lines = FairQueue()
        self.ready_until = -math.inf
        self.next_expiry = -math.inf
        self._queued = 0
        self._queued_of: dict[str, int] = {}
        """By owner, and by share; the share of an address has a prefix that no owner has."""
        self._running: dict[Key, RequestRecord] = {}
        self._next_lease_end = math.inf
        """No lease expires before that."""
        self._retrying: Counter[str] = Counter()
        """By action: records that wait for a time after `ready_until`."""
        self._retry_times: dict[str, float] = {}
        """By action: the earliest of those times, where it is known."""

    def load(self, counts: Iterable[LineCount], running: Iterable[RequestRecord]) -> None:
        """Starts again with the counts of the storage; known lines keep their turns."""
        self.ready_until = self.next_expiry = -math.inf
        self._queued = 0
        self._queued_of.clear()
        self._retrying.clear()
        self._retry_times.clear()
        self._running = {record.key: record for record in running}
        self._next_lease_end = -math.inf
        pending = {}
        for line, count, retrying in counts:
            pending[line] = count
            if retrying:
                self._retrying[line.action] += retrying
            self._queue(line, count + retrying)
        self.lines.update(pending)

    def full(self, record: RequestRecord) -> Exception | None:
        """Why this record may not wait as well; None when there is capacity for it."""
        bounds = self._bounds
        if self._queued >= bounds.max_queued:
            return queue_full(bounds.max_queued)
        of_owner, of_address = bounds.max_queued_per_owner, bounds.max_queued_per_address
        if of_owner is not None and self._queued_of.get(record.owner, 0) >= of_owner:
            return owner_full(of_owner)
        if of_address is None or not record.share.startswith(ADDRESS_SHARE):
            return None
        return address_full(of_address) if self._queued_of.get(record.share, 0) >= of_address else None

    def changed(self, before: RequestRecord | None, after: RequestRecord, *, turn_taken: bool = False) -> None:
        """A record was written.

        Args:
            before: the record before; None when it is new.
            after: the record now.
            turn_taken: it was already removed from its line, because it was its turn.
        """
        if before is not None:
            if before.status is _PROCESSING:
                self._running.pop(after.key, None)
            else:
                self._leave(before, turn_taken=turn_taken)
        status = after.status
        if status is _PROCESSING and after.due_at is not None:
            self._running[after.key] = after
            self._next_lease_end = min(self._next_lease_end, after.due_at)
        elif status is _PENDING or status is _RETRYING:
            self._wait(after)

    def removed(self, record: RequestRecord) -> None:
        """The write of a record, assumed to have happened, has failed."""
        self._leave(record)

    def find_leases_over(self, now: float) -> list[RequestRecord]:
        """Running requests whose lease has expired."""
        if now < self._next_lease_end:
            return []
        ends = [(one.due_at or 0.0, one) for one in self._running.values()]
        self._next_lease_end = min((end for end, _ in ends if end > now), default=math.inf)
        over = [one for end, one in ends if end <= now]
        if over:
            self._next_lease_end = now
        return over

    @property
    def has_retries(self) -> bool:
        """Whether any record waits for its next attempt."""
        return bool(self._retrying)

    def retries_may_be_due(self, now: float) -> bool:
        """Whether to look for retries that have become due since `ready_until`, because there are future ones."""
        return len(self._retry_times) < len(self._retrying) or min(self._retry_times.values()) <= now

    def retries_due(self, found: Iterable[Candidate], now: float) -> None:
        """These retries became due: all that are due now."""
        self.ready_until = now
        for one in found:
            self.lines.add(one.line)
            self._less_retrying(one.line.action)

    def retry_times_unknown(self) -> list[str]:
        """Actions with future retries of unknown time."""
        return [action for action in self._retrying if action not in self._retry_times]

    def retry_time_known(self, action: str, time: float) -> None:
        """The time of an action's earliest future retry."""
        self._retry_times[action] = time

    def next_due(self, now: float, capacity: Capacity) -> float | None:
        """When a record can next be claimed, as far as there is capacity for it."""
        if self.lines.fits(capacity):
            return now
        times = [time for action, time in self._retry_times.items() if capacity.for_action(action)]
        for one in self._running.values():
            end = one.due_at or 0.0
            if end > now:
                if capacity.for_action(one.action):
                    times.append(end)
            elif capacity.fits(expired_lease(one)):
                return now
        return min(times, default=None)

    def _wait(self, record: RequestRecord) -> None:
        self._queue(record, 1)
        if record.expires_at is not None and record.expires_at < self.next_expiry:
            self.next_expiry = record.expires_at
        if self._is_ready(record):
            self.lines.add(line_of(record))
            return
        action, due_at = record.action, record.due_at or 0.0
        known = self._retry_times.get(action)
        if action not in self._retrying or (known is not None and due_at < known):
            self._retry_times[action] = due_at
        self._retrying[action] += 1

    def _leave(self, record: RequestRecord, *, turn_taken: bool = False) -> None:
        if record.status is _PENDING or record.status is _RETRYING:
            self._queue(record, -1)
            if not self._is_ready(record):
                self._less_retrying(record.action)
            elif not turn_taken:
                self.lines.remove(line_of(record))

    def _is_ready(self, record: RequestRecord) -> bool:
        return record.status is _PENDING or (record.due_at or 0.0) <= self.ready_until

    def _less_retrying(self, action: str) -> None:
        # The record that left may have been the earliest: the storage must be asked.
        self._retry_times.pop(action, None)
        self._retrying[action] -= 1
        if not self._retrying[action]:
            del self._retrying[action]

    def _queue(self, record: RequestRecord | Line, change: int) -> None:
        self._queued += change
        self._count(record.owner, change)
        share = record.share if isinstance(record, RequestRecord) else record.tenant
        if share.startswith(ADDRESS_SHARE):
            self._count(share, change)

    def _count(self, name: str, change: int) -> None:
        count = self._queued_of.get(name, 0) + change
        if count:
            self._queued_of[name] = count
        else:
            del self._queued_of[name]


def line_of(record: RequestRecord) -> Line:
    """The line in which the record waits."""
    return Line(record.action, record.priority, record.share, record.owner)


def expired_lease(record: RequestRecord) -> ExpiredLease:
    """A running request with an expired lease, for the fair turns."""
    return ExpiredLease(
        record.due_at or 0.0, record.key, record.action, record.priority, record.tenant, last_attempt(record)
    )
