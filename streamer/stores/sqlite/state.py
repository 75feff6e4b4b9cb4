"""What the writer process knows beside the file."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from streamer.core.records import ADDRESS_SHARE, QUEUED, RequestRecord, Status
from streamer.stores.fairness import Lines, Place
from streamer.stores.sqlite.due_times import TIMED, DueTimes
from streamer.stores.sqlite.guard import Guard
from streamer.stores.sqlite.rows import COLUMNS, to_row

ALL: Final = ", ".join(COLUMNS)
SELECT: Final = f"SELECT {ALL} FROM requests"  # noqa: S608 - constants
_GET: Final = f"{SELECT} WHERE owner = ? AND id = ?"
_REPLACE: Final = (
    f"UPDATE requests SET {', '.join(f'{name} = ?' for name in COLUMNS)}, waiting = ? WHERE owner = ? AND id = ?"  # noqa: S608 - constants
)
_IN_LINE: Final = (
    "SELECT action, priority, tenant, owner, count(*), min(number) FROM requests INDEXED BY requests_waiting "
    "WHERE waiting = 1 GROUP BY owner, tenant, action, priority"
)
_RETRYING: Final = (
    "SELECT owner, tenant, count(*) FROM requests INDEXED BY requests_timed "  # noqa: S608 - constants
    f"WHERE status = 'RETRYING' AND waiting = 0 {TIMED} GROUP BY owner, tenant"
)
_KINDS: Final = f"SELECT DISTINCT action, priority FROM requests INDEXED BY requests_timed WHERE 1 {TIMED}"  # noqa: S608 - constants
_PUT_BACK: Final = tuple(
    "UPDATE requests SET due_at = due_at - (updated_at - ?1), expires_at = expires_at - (updated_at - ?1), "  # noqa: S608 - constants
    f"updated_at = ?1 WHERE updated_at > ?1 AND {which}"
    for which in (
        TIMED.removeprefix("AND "),
        "status = 'PENDING' AND expires_at IS NOT NULL AND due_at IS NOT NULL AND status != 'PROCESSING'",
    )
)
_TOO_EARLY: Final = (
    "SELECT action, priority, tenant, owner, number FROM requests INDEXED BY requests_timed "  # noqa: S608 - constants
    f"WHERE status = 'RETRYING' AND waiting = 1 AND due_at > ? {TIMED}"
)
_CHANGES: Final = "SELECT change, id, action, priority, tenant, owner FROM changes ORDER BY number"
_OUT_OF_LINE: Final = "UPDATE requests SET waiting = 0 WHERE number = ?"


class Foreign(NamedTuple):
    """What another process has written."""

    keys: tuple[tuple[str, str], ...] = ()
    known: bool = True
    """The keys are all of it."""

    def and_wrote(self, key: tuple[str, str]) -> Foreign:
        """And this request too."""
        return Foreign((*self.keys, key), self.known)


class State:
    """The connection, and what is derived from the file and kept in memory.

    Args:
        database: the open file.
        max_queued: how many records may wait.
        max_queued_per_owner: how many of one owner; None: as many as there is room for.
        max_queued_per_address: how many of one address, of those without authentication; None: likewise.
        session: names the store object that sends; with an operation's number it is that operation's own name.
        repeats_until: operations with a number up to this one may have been done by a writer that died.

    Attributes:
        execute: runs a statement whose rows are read.
        change: runs one that returns none, at less cost: all have one cursor.
        change_many: likewise, with each of several sets of values.
        guard: says when nothing may be written; anything may, until the file is watched.
        queued: PENDING and RETRYING records, so that a full queue is known without counting.
        queued_by: the same by owner.
        queued_from: the same by share, see `RequestRecord.share`.
        lines: who waits for nothing but a worker.
        times: when what waits for a time is next due.
        newest: the time of the newest write.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        max_queued: int,
        *,
        max_queued_per_owner: int | None = None,
        max_queued_per_address: int | None = None,
        session: str = "",
        repeats_until: int = 0,
    ) -> None:
        self.database = database
        self.guard = Guard(Path())
        self.execute = database.execute
        cursor = database.cursor()
        self.change, self.change_many = cursor.execute, cursor.executemany
        self.max_queued = max_queued
        self.max_queued_per_owner = max_queued_per_owner
        self.max_queued_per_address = max_queued_per_address
        self.repeats_until = repeats_until
        self.queued = 0
        self.queued_by: Counter[str] = Counter()
        self.queued_from: Counter[str] = Counter()
        self.lines = Lines()
        self.times = DueTimes(self.execute)
        self._session = session
        self._data_version = -1
        # What another process wrote while there was no writer went by unseen: after a death it is assumed.
        self._foreign = Foreign(known=repeats_until == 0)
        self.newest = -math.inf
        self._undo: list[tuple[Callable[..., object], Any]] = []
        self._before = (self._foreign, self.newest, self._data_version)

    def token(self, number: int) -> str:
        """The name under which an operation's work is found again."""
        return f"{self._session}-{number}"

    def begin(self, *, reading: bool = False) -> None:
        """A transaction has begun; for one that writes, what another process (an operator's command) wrote counts."""
        self._undo.clear()
        self._before = (self._foreign, self.newest, self._data_version)
        if not reading:
            self._catch_up()

    def up_to_date(self) -> bool:
        """Whether no other process has written since the last transaction that wrote."""
        return self._version() == self._data_version

    def _version(self) -> int:
        version: int = self.change("PRAGMA data_version").fetchone()[0]
        return version

    def _catch_up(self) -> None:
        version = self._version()
        if version == self._data_version:
            return
        changes = [] if self._data_version == -1 else self.execute(_CHANGES).fetchall()
        for change, request_id, *place in changes:
            self._apply(change, request_id, Place(*place))
        if not changes:
            # At the start, and after a program that is none of ours has written.
            self.recount()
            if self._data_version != -1:
                self._foreign = Foreign(known=False)
        else:
            self.times.reset(self.times.kinds)
        self.execute("DELETE FROM changes")
        self._data_version = version

    def _apply(self, change: str, request_id: str, place: Place) -> None:
        """One thing that an operator's command did; see `operating.OperatorState`."""
        match change:
            case "entered":
                self.enter(place)
            case "left":
                self.leave(place)
            case "entered_waiting":
                self.enter_waiting(place)
            case "left_waiting":
                self.leave_waiting(place)
            case "wrote":
                self._foreign = self._foreign.and_wrote((place.owner, request_id))
            case _:
                self._foreign = Foreign(known=False)

    def finish(self) -> None:
        """The transaction is about to be committed."""

    def undo(self) -> None:
        """The transaction was rolled back: what is known is again as it was when it began."""
        undo, self._undo = self._undo, []
        for step, argument in reversed(undo):
            step(argument)
        self._undo.clear()
        self.times.undo()
        self._foreign, self.newest, self._data_version = self._before

    def recount(self) -> None:
        """Reads from the file what is kept in memory. Whoever has waited longest is served first."""
        self.lines = Lines()
        self.queued = 0
        self.queued_by, self.queued_from = Counter(), Counter()
        for *place, count, _ in sorted(self.execute(_IN_LINE), key=lambda row: row[-1]):
            self.lines.add(Place(*place), count)
            self._count(place[3], place[2], count)
        for owner, share, count in self.execute(_RETRYING):
            self._count(owner, share, count)
        self.times.reset(self.execute(_KINDS))

    def at(self, now: float) -> None:
        """It is now so late; the clock may have been put back since the last time."""
        if now < self.newest:
            self.put_back(now)
        self.newest = now

    def put_back(self, now: float) -> None:
        """What was written in the time that is yet to come again waits no longer for that; see `records.put_back`."""
        for statement in _PUT_BACK:
            self.execute(statement, (now,))
        for *place, number in self.execute(_TOO_EARLY, (now,)).fetchall():
            self.execute(_OUT_OF_LINE, (number,))
            self.wait_again(Place(*place))
            self.times.add_retry((place[0], place[1]))
        self.times.reset(self.times.kinds)

    def changed_externally(self) -> list[Any]:
        """Whether another process has written since this was last asked, and to which requests where that is known."""
        foreign, self._foreign = self._foreign, Foreign()
        return [not foreign.known or bool(foreign.keys), list(foreign.keys) if foreign.known else None]

    def enter(self, place: Place) -> None:
        """One more record is in the queue, and waits for nothing but a worker."""
        self.lines.add(place)
        self._count(place.owner, place.tenant, 1)
        self._undo.append((self.leave, place))

    def leave(self, place: Place) -> None:
        """One such record has left the queue."""
        self.lines.remove(place)
        self._count(place.owner, place.tenant, -1)
        self._undo.append((self.enter, place))

    def begun(self, place: Place) -> None:
        """One has left it by a turn that `lines` gave out."""
        self._count(place.owner, place.tenant, -1)
        self._undo.append((self.enter, place))

    def enter_waiting(self, place: Place) -> None:
        """One more record is in the queue, and waits for a time."""
        self._count(place.owner, place.tenant, 1)
        self.times.add_retry((place.action, place.priority))
        self._undo.append((self.leave_waiting, place))

    def leave_waiting(self, place: Place) -> None:
        """One such record has left the queue."""
        self._count(place.owner, place.tenant, -1)
        self._undo.append((self.enter_waiting, place))

    def fall_due(self, place: Place) -> None:
        """A record in the queue no longer waits for a time."""
        self.lines.add(place)
        self.times.forget()
        self._undo.append((self.wait_again, place))

    def wait_again(self, place: Place) -> None:
        """It does again."""
        self.lines.remove(place)
        self.times.forget()
        self._undo.append((self.fall_due, place))

    def _count(self, owner: str, share: str, change: int) -> None:
        self.queued += change
        counts = self.queued_by
        # An owner or a share that has nothing in the queue takes no memory.
        if left := counts.get(owner, 0) + change:
            counts[owner] = left
        else:
            del counts[owner]
        counts = self.queued_from
        if left := counts.get(share, 0) + change:
            counts[share] = left
        else:
            del counts[share]

    def full_for(self, owner: str) -> bool:
        """Whether the owner has as many records in the queue as one owner may have."""
        return self.max_queued_per_owner is not None and self.queued_by[owner] >= self.max_queued_per_owner

    def full_from(self, share: str) -> bool:
        """Whether the share is that of an address which has as many records in the queue as one may have."""
        return (
            self.max_queued_per_address is not None
            and share.startswith(ADDRESS_SHARE)
            and self.queued_from[share] >= self.max_queued_per_address
        )

    def get(self, owner: str, request_id: str) -> list[Any] | None:
        """The row of a request."""
        row = self.execute(_GET, (owner, request_id)).fetchone()
        return None if row is None else list(row)

    def replace(self, record: RequestRecord) -> list[Any]:
        """Writes the whole record over the one that stands. Returns its row."""
        self.times.forget()
        if record.status in QUEUED:
            self.times.add_expiry(record.expires_at)
        row = to_row(record)
        self.execute(_REPLACE, (*row, record.status is Status.PENDING, record.owner, record.id))
        return list(row)


def place_of(record: RequestRecord) -> Place:
    """Where the record waits, if it does."""
    return Place(record.action, record.priority, record.share, record.owner)
