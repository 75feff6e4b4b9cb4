"""What is in the queue: mirrored in memory where that is little, read from the indexes of the file where it is much."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from streamer.queue.fairness import Capacity, FairKey, FairQueue
from streamer.stores.sqlite.counts import Counts
from streamer.stores.sqlite.due_times import TIMED, DueTimes, Kind
from streamer.stores.sqlite.recount import COUNT, Recount
from streamer.stores.sqlite.wheel import QUEUED, Wheel

MANY: Final = 2048
"""Records in the queue up to which their lines are kept in memory. Reading so many takes some milliseconds, in which
nothing else is written."""

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
"""The next kind of the same action, and of the next action. SQLite would read all of the same kind for both at once."""
_TIMED_KINDS: Final = tuple(
    statement.replace("requests_queued", "requests_timed").replace(QUEUED, TIMED) for statement in _QUEUED_KINDS
)


class Backlog:
    """The records that are PENDING or RETRYING: how many there are, and whose turn it is.

    Args:
        database: the open file.

    Attributes:
        execute: runs a statement whose rows are read.
        cursor: one for all statements that return none.
        change: runs such a statement by it, at less cost.
        queued: PENDING and RETRYING records, so that a full queue is known without counting.
        owners: the same by owner.
        shares: the same by share, see `RequestRecord.share`.
        many: so much waits that `lines` is empty, and turns are read from the file, by `wheel`.
        lines: who waits for nothing but a worker.
        wheel: whose turn it is where many wait.
        counted: what is written now is in the index from which an owner's records are counted where many wait.
        times: when what waits for a time is next due.
        became_many: they became many in this transaction.
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
        """Reads from the file what is kept in memory. Whoever has waited longest is served first."""
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
        """The file may say anything now. Where many wait, nobody waits until they are counted."""
        if not self.many:
            self.recount()
            return
        self._recount = Recount(self.database, self.queued)
        self._read_when_asked()
        self.times.reset(self._kinds(_TIMED_KINDS))

    def become_many(self) -> None:
        """Where many wait, from now on no line is kept in memory, and only the counts that are asked for."""
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
        """Reads the lines into memory again where that has become little."""
        if self.many and self.queued < MANY // 2:
            self.recount()

    def _kinds(self, statements: tuple[str, ...]) -> list[Kind]:
        """Every kind that an index has, by one or two looks for each."""
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
        """Takes over what has been counted meanwhile."""
        if self._recount is not None and (error := self._recount.error) is not None:
            self.queued += error
            self._recount = None

    def join(self, place: FairKey) -> None:
        """One more record waits for nothing but a worker."""
        if self.many:
            self.wheel.kinds.add((place.action, place.priority))
        else:
            self.lines.add(place)

    def part(self, place: FairKey) -> None:
        """One record less does, and nobody's turn is over."""
        if not self.many:
            self.lines.remove(place)

    def count(self, owner: str, share: str, change: int) -> None:
        """So many more records are in the queue."""
        self.queued += change
        self.owners.change(owner, change)
        self.shares.change(share, change)

    def fits(self, capacity: Capacity) -> bool:
        """Whether anything that waits for nothing but a worker could be taken."""
        return self.wheel.fits(capacity) if self.many else self.lines.fits(capacity)
