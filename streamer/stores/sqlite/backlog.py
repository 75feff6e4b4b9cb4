"""The waiting records: mirrored in memory when there are few, read from the file's indexes when there are many."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from streamer.queue.fairness import Capacity, FairKey, FairQueue
from streamer.stores.sqlite.counts import Counts
from streamer.stores.sqlite.due_times import TIMED, DueTimes, Kind
from streamer.stores.sqlite.recount import COUNT, Recount
from streamer.stores.sqlite.wheel import QUEUED, Wheel

MANY: Final = 2048
"""Number of queued records up to which their lines are kept in memory. Reading that many takes some milliseconds,
during which nothing else is written.
"""

_IN_LINE: Final = (
    "SELECT action, priority, tenant, owner, count(*), min(number) FROM requests INDEXED BY requests_queued "  # noqa: S608 - constants
    f"WHERE waiting = 1 {QUEUED} GROUP BY action, priority, tenant, owner"
)
_RETRYING: Final = (
    "SELECT tenant, owner, count(*) FROM requests INDEXED BY requests_queued "  # noqa: S608 - constants
    f"WHERE waiting = 0 {QUEUED} GROUP BY action, priority, tenant, owner"
)
_COUNT_UP_TO: Final = (
    f"SELECT count(*) FROM (SELECT 1 FROM requests INDEXED BY requests_queued WHERE 1 {QUEUED} LIMIT ?)"  # noqa: S608 - constants
)
_COUNT_OWNER: Final = (
    f"SELECT count(*) FROM requests INDEXED BY requests_counted WHERE owner = ? AND counted = 1 {QUEUED}"  # noqa: S608 - constants
)
_COUNTED: Final = (
    "UPDATE requests SET counted = 1 WHERE number IN "  # noqa: S608 - constants
    f"(SELECT number FROM requests INDEXED BY requests_queued WHERE counted = 0 {QUEUED})"
)
_COUNT_SHARE: Final = (
    "SELECT count(*) FROM requests INDEXED BY requests_queued "  # noqa: S608 - constants
    f"WHERE action = ? AND priority = ? AND waiting = ? AND tenant = ? {QUEUED}"
)
_QUEUED_KINDS: Final = tuple(
    f"SELECT action, priority FROM requests INDEXED BY requests_queued WHERE {after} {QUEUED} "  # noqa: S608 - constants
    "ORDER BY action, priority LIMIT 1"
    for after in ("action = ? AND priority > ?", "action > ?")
)
"""The next kind of the same action, and of the next action. In one query, SQLite would read all rows of the same
kind.
"""
_TIMED_KINDS: Final = tuple(
    statement.replace("requests_queued", "requests_timed").replace(QUEUED, TIMED) for statement in _QUEUED_KINDS
)


class Backlog:
    """The records that are PENDING or RETRYING: how many there are, and whose turn it is.

    Args:
        database: the open file.

    Attributes:
        execute: runs a statement that returns rows.
        cursor: shared by all statements that return none.
        change: runs such a statement on it, at less cost.
        queued: PENDING and RETRYING records, so that a full queue is known without counting.
        owners: the same by owner.
        shares: the same by share, see `RequestRecord.share`.
        many: so many records wait that `lines` is empty, and turns are read from the file, by `wheel`.
        lines: the records that can start as soon as a worker is free.
        wheel: the turns when many records wait.
        counted: records written now are in the index from which an owner's records are counted when many wait.
        times: when records that wait for a time are next due.
        became_many: `many` became true in this transaction.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self.execute = database.execute
        self.cursor = database.cursor()
        self.change = self.cursor.execute
        self.queued = 0
        self.owners = Counts(self._count_owner)
        self.shares = Counts(self._count_share)
        self.many = False
        self.counted = False
        self.became_many = False
        self.lines = FairQueue()
        self.wheel = Wheel(self.execute)
        self.times = DueTimes(self.execute)
        self._recount: Recount | None = None

    def recount(self) -> None:
        """Reads from the file what is kept in memory. Owners that have waited longest are served first."""
        self.lines = FairQueue()
        self.queued = self._read(_COUNT_UP_TO, MANY + 1)
        self.many = self.counted = self.queued > MANY
        self._recount = None
        if self.many:
            self.queued = self._read(COUNT)
            self._read_when_asked()
        else:
            self.queued = 0
            self.owners.clear(complete=True)
            self.shares.clear(complete=True)
            for *place, count, _ in sorted(self.execute(_IN_LINE), key=lambda row: row[-1]):
                self.lines.add(FairKey(*place), count)
                self.count(place[3], place[2], count)
            for share, owner, count in self.execute(_RETRYING):
                self.count(owner, share, count)
        self.times.reset(self._kinds(_TIMED_KINDS))

    def count_again(self) -> None:
        """The file may have changed in any way. When many wait, nothing is counted until it is needed."""
        if not self.many:
            self.recount()
            return
        self._recount = Recount(self.database, self.queued)
        self._read_when_asked()
        self.times.reset(self._kinds(_TIMED_KINDS))

    def become_many(self) -> None:
        """When many records wait, lines are no longer kept in memory, and counts are read only when needed."""
        if self.many or self.queued <= MANY:
            return
        self.many = self.counted = self.became_many = True
        self.lines = FairQueue()
        self.change(_COUNTED)
        self._read_when_asked()

    def _read_when_asked(self) -> None:
        self.owners.clear(complete=False)
        self.shares.clear(complete=False)
        self.wheel.reset(self._kinds(_QUEUED_KINDS))

    def become_few(self) -> None:
        """Reads the lines into memory again when few records wait."""
        if self.many and self.queued < MANY // 2:
            self.recount()

    def _kinds(self, statements: tuple[str, ...]) -> list[Kind]:
        """Every kind in an index, by one or two lookups for each."""
        same_action, next_action = statements
        kinds: list[Kind] = []
        found: Kind | None = self.execute(next_action, ("",)).fetchone()
        while found is not None:
            kinds.append(found)
            found = self.execute(same_action, found).fetchone() or self.execute(next_action, (found[0],)).fetchone()
        return kinds

    def _read(self, statement: str, *values: Any) -> int:
        number: int = self.execute(statement, values).fetchone()[0]
        return number

    def _count_owner(self, owner: str) -> int:
        return self._read(_COUNT_OWNER, owner)

    def _count_share(self, share: str) -> int:
        kinds = self.wheel.kinds | self.times.kinds
        return sum(self._read(_COUNT_SHARE, *kind, waiting, share) for kind in kinds for waiting in (0, 1))

    def correct(self) -> None:
        """Applies the result of a count that has finished meanwhile."""
        if self._recount is not None and (error := self._recount.error) is not None:
            self.queued += error
            self._recount = None

    def join(self, place: FairKey) -> None:
        """Adds a record that can start as soon as a worker is free."""
        if self.many:
            self.wheel.kinds.add((place.action, place.priority))
        else:
            self.lines.add(place)

    def part(self, place: FairKey) -> None:
        """Removes such a record without using up a turn."""
        if not self.many:
            self.lines.remove(place)

    def count(self, owner: str, share: str, change: int) -> None:
        """Adds queued records."""
        self.queued += change
        self.owners.change(owner, change)
        self.shares.change(share, change)

    def fits(self, capacity: Capacity) -> bool:
        """Whether any record could be taken that can start as soon as a worker is free."""
        return self.wheel.fits(capacity) if self.many else self.lines.fits(capacity)
