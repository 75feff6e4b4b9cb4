"""What a database must do to hold a queue.

A storage keeps records and finds them; it decides nothing. Whose turn is next, how many may wait, leases, retries,
expiry and every transition are decided once, by `streamer.queue.StorageQueue`, for any storage. `streamer.testing` has
the suite that every storage must pass, and the how-to *Write a store* shows a whole one.
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
    """Given by the storage when the record is inserted: unique, and higher than every number given before."""
    version: int
    """1 when inserted, one more with each replacement."""
    record: RequestRecord


class Change(NamedTuple):
    """The replacement of one record."""

    version: int
    """Of the row that it replaces. It is stored under the next one."""
    record: RequestRecord
    """The whole new record. Its key, `created_at`, action, priority, payload and share are those of the old one."""


class Line(NamedTuple):
    """Requests that wait for the same turn: those of one owner, for one action and priority."""

    action: str
    priority: int
    tenant: str
    """`RequestRecord.share`: the tenant; without authentication, the address."""
    owner: str


class LineCount(NamedTuple):
    """How many records of one line wait."""

    line: Line
    pending: int
    """Records that are PENDING."""
    retrying: int
    """Records that are RETRYING, whether their time has come or not."""


class Candidate(NamedTuple):
    """A record that a claim may be about."""

    line: Line
    id: str
    number: int
    time: float
    """What the query sorts by: `due_at`, or `expires_at` for `Expiring`."""

    @property
    def key(self) -> Key:
        """Owner and id."""
        return (self.line.owner, self.id)


class Ready(NamedTuple):
    """Records of one line that could start at `now`: PENDING, or RETRYING with `due_at <= now`. By `number`."""

    line: Line
    now: float
    limit: int


class Timed(NamedTuple):
    """RETRYING (or PROCESSING) records with `after < due_at <= until`. By `due_at`."""

    status: Status
    after: float = -math.inf
    until: float = math.inf
    action: str | None = None
    """Only records of this action; None: of any."""
    limit: int | None = None
    """None: all of them."""


class Expiring(NamedTuple):
    """PENDING and RETRYING records with `expires_at <= until`. By `expires_at`."""

    until: float
    limit: int | None
    """None: all of them."""


Query = Ready | Timed | Expiring


class Filter(NamedTuple):
    """Which records a page shows; None (or False) does not restrict."""

    owner: str | None = None
    id: str | None = None
    status: Status | None = None
    action: str | None = None
    undelivered: bool = False
    """Only records without `delivered_at`."""


class Storage(Protocol):
    """Records in a database. One `StorageQueue` writes to it (`insert`, `replace`, `delete`, `keep`), one call after
    another, and never cancels one; reads may come at any time, from many tasks.

    A write is durable when its method returns, and takes effect whole or not at all: after a crash either all rows of a
    call are there, or a first part of them in the order given. Every read shows all writes that have returned; none may
    be stale. Times are seconds since 1970 UTC.

    Raises:
        StoreUnavailable: by any method: the database cannot be reached or refuses; a later call may succeed.
        StoreClosed: by any method: the storage was closed, or has failed for good and only a new start can help.
    """

    async def insert(self, records: Sequence[RequestRecord], /) -> list[Row | None]:
        """Stores new records, with numbers in this order. For each: None when stored; where its key is taken, also by
        an earlier one of this call, the row that has it, which stays as it is.
        """
        ...

    async def get(self, keys: Sequence[Key], /) -> list[Row | None]:
        """The row of each key, whole; None where there is none."""
        ...

    async def replace(self, changes: Sequence[Change], /) -> list[bool]:
        """Replaces each record whose row still has the version that the change names; compare and write are atomic.
        No two changes of one call have the same key.

        For each: True when it is stored now, by this call or (version one higher, equal record) by an earlier one whose
        answer was lost; False when the row is another by now, or gone.
        """
        ...

    async def delete(self, finished_before: float, limit: int, /) -> int:
        """Deletes up to `limit` terminal records (`due_at` is None) with `finished_at` earlier than that. Returns how
        many; fewer than `limit` means that none is left.
        """
        ...

    async def lines(self) -> list[LineCount]:
        """Every line that has PENDING or RETRYING records, in the order of their lowest number. Called when the queue
        starts, and when the clock was set back.
        """
        ...

    async def candidates(self, queries: Sequence[Query], /) -> list[list[Candidate]]:
        """The answer to each query, in its order and within its limit. Needs an index: it is called for every claim."""
        ...

    async def page(
        self, wanted: Filter, /, limit: int, *, after: tuple[float, int] | None = None, oldest_first: bool = False
    ) -> list[Row]:
        """Up to `limit` rows that match, newest first by `(created_at, number)`, beginning after that pair of the last
        row of the page before. `payload`, `metadata`, `result` and `history` may be left empty.
        """
        ...

    async def counts(self) -> Mapping[Status, int]:
        """How many records are in each state; states without any may be missing."""
        ...

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        """Keeps a small value under a name, apart from the records. Returns what is kept now: the value that was there
        before, unless `replace` is set.
        """
        ...

    async def close(self) -> None:
        """Gives up the database. Safe to call again."""
        ...
