"""What a database must do to store a queue.

A storage stores records and finds them; it decides nothing. The order of requests, limits, leases, retries, expiry and
every transition are decided once, by `streamer.queue.StorageQueue`, for every storage. `streamer.testing` has the
conformance suite, and the how-to *Write a store* shows a complete example.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from streamer.contracts.stores import Key
from streamer.core.records import RequestRecord, Status


class Row(NamedTuple):
    """A record as it is stored."""

    number: int
    """Assigned by the storage at insertion: unique, and higher than every number assigned before."""
    version: int
    """1 at insertion, incremented by each replacement."""
    record: RequestRecord


class Change(NamedTuple):
    """The replacement of one record."""

    version: int
    """The version of the row to replace. The new row gets the next version."""
    record: RequestRecord
    """The whole new record. Its key, `created_at`, action, priority, payload and share equal those of the old one."""


class Line(NamedTuple):
    """Identifies requests that are ordered among themselves: those of one owner, for one action and priority."""

    action: str
    priority: int
    tenant: str
    """`RequestRecord.share`: the tenant; without authentication, the address."""
    owner: str


class LineCount(NamedTuple):
    """How many records of one line are waiting."""

    line: Line
    pending: int
    """Records that are PENDING."""
    retrying: int
    """Records that are RETRYING, due or not."""


class Candidate(NamedTuple):
    """A record that can be claimed or expired."""

    line: Line
    id: str
    number: int
    time: float
    """The sort key of the query: `due_at`, or `expires_at` for `Expiring`."""

    @property
    def key(self) -> Key:
        """Owner and id."""
        return (self.line.owner, self.id)


class Ready(NamedTuple):
    """Records of one line that can start at `now`: PENDING, or RETRYING with `due_at <= now`. Sorted by `number`."""

    line: Line
    now: float
    limit: int


class Timed(NamedTuple):
    """RETRYING (or PROCESSING) records with `after < due_at <= until`. Sorted by `due_at`."""

    status: Status
    after: float = -math.inf
    until: float = math.inf
    action: str | None = None
    """Only records of this action; None: of all actions."""
    limit: int | None = None
    """None: no limit."""


class Expiring(NamedTuple):
    """PENDING and RETRYING records with `expires_at <= until`. Sorted by `expires_at`."""

    until: float
    limit: int | None
    """None: no limit."""


Query = Ready | Timed | Expiring


class Filter(NamedTuple):
    """Filters of a page; None (or False) does not filter."""

    owner: str | None = None
    id: str | None = None
    status: Status | None = None
    action: str | None = None
    undelivered: bool = False
    """Only records without `delivered_at`."""


class Storage(Protocol):
    """Records in a database. One `StorageQueue` writes to it (`insert`, `replace`, `delete`, `keep`), one call after
    another, and never cancels a call; reads may come at any time, from many tasks.

    A write is durable when its method returns, and is applied completely or not at all: after a crash either all rows
    of a call exist, or the first ones in the given order. Every read sees all writes that have returned; no read may be
    stale. Times are seconds since 1970 UTC.

    Raises:
        StoreUnavailable: by any method: the database cannot be reached or refuses the call; a later call may succeed.
        StoreClosed: by any method: the storage was closed, or has failed permanently and needs a new start.
    """

    async def insert(self, records: Sequence[RequestRecord], /) -> list[Row | None]:
        """Stores new records, numbered in this order. For each: None when it is stored; when its key exists, also from
        an earlier record of this call, the existing row, which is not changed.
        """
        ...

    async def get(self, keys: Sequence[Key], /) -> list[Row | None]:
        """The row of each key, with all fields; None where there is none."""
        ...

    async def replace(self, changes: Sequence[Change], /) -> list[bool]:
        """Replaces each record whose row still has the version that the change names; comparing and writing are atomic.
        No two changes of one call have the same key.

        For each: True when it is stored, by this call or by an earlier one whose answer was lost (then the row has the
        next version and an equal record); False when the row has changed otherwise, or was deleted.
        """
        ...

    async def delete(self, finished_before: float, limit: int, /) -> int:
        """Deletes up to `limit` terminal records (`due_at` is None) with `finished_at` before that time. Returns how
        many; fewer than `limit` means that none are left.
        """
        ...

    async def lines(self) -> list[LineCount]:
        """Every line that has PENDING or RETRYING records, ordered by their lowest number. Called when the queue
        starts, and after the clock was set back.
        """
        ...

    async def candidates(self, queries: Sequence[Query], /) -> list[list[Candidate]]:
        """The answer to each query, in its order and within its limit. Needs an index: it is called for every claim."""
        ...

    async def page(
        self, wanted: Filter, /, limit: int, *, after: tuple[float, int] | None = None, oldest_first: bool = False
    ) -> list[Row]:
        """Up to `limit` matching rows, newest first by `(created_at, number)`, starting after that pair of the last row
        of the previous page. `payload`, `metadata`, `result` and `history` may be left empty.
        """
        ...

    async def counts(self) -> Mapping[Status, int]:
        """How many records are in each state; states without records may be missing."""
        ...

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        """Stores a small value under a name, separately from the records. Returns the value that is stored now: the
        previous one, unless `replace` is set.
        """
        ...

    async def close(self) -> None:
        """Closes the database. Can be called again."""
        ...
