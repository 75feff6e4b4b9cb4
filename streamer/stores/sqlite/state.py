"""What the writer process keeps in memory about the file."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from streamer.core.records import ADDRESS_SHARE, QUEUED, RequestRecord, Status
from streamer.queue.common import CLOCK_STEP
from streamer.queue.fairness import FairKey
from streamer.stores.sqlite.backlog import Backlog
from streamer.stores.sqlite.due_times import TIMED
from streamer.stores.sqlite.guard import Guard
from streamer.stores.sqlite.rows import COLUMNS, to_row

ALL: Final = ", ".join(COLUMNS)
SELECT: Final = f"SELECT {ALL} FROM requests"  # noqa: S608 - constants
_GET: Final = f"{SELECT} WHERE owner = ? AND id = ?"
_REPLACE: Final = (
    f"UPDATE requests SET {', '.join(f'{name} = ?' for name in COLUMNS)}, waiting = ?, counted = ? "  # noqa: S608 - constants
    "WHERE owner = ? AND id = ?"
)
_REBASE_CLOCK: Final = tuple(
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
_DUE_NOW: Final = (
    "UPDATE requests SET due_at = ?1, updated_at = ?1 WHERE number IN (SELECT number FROM requests "  # noqa: S608 - constants
    "INDEXED BY requests_timed WHERE action = ?2 AND priority = ?3 AND status = 'PROCESSING' AND waiting = 0 "
    f"{TIMED})"
)
_NEWEST: Final = "SELECT newest FROM clock"
_NOTE_NEWEST: Final = "UPDATE clock SET newest = ?"


class ChangedKeys(NamedTuple):
    """What another process has written."""

    keys: tuple[tuple[str, str], ...] = ()
    known: bool = True
    """The keys are complete."""

    def and_wrote(self, key: tuple[str, str]) -> ChangedKeys:
        """Adds this request."""
        return ChangedKeys((*self.keys, key), self.known)


class State(Backlog):
    """The connection, and what is derived from the file and kept in memory.

    Args:
        database: the open file.
        max_queued: the limit of waiting records.
        max_queued_per_owner: the limit of one owner; None: no limit of its own.
        max_queued_per_address: the limit of one address, for requests without authentication; None: no limit of its
            own.
        session: the name of the store object that sends; with an operation's number it is that operation's own name.
        repeats_until: operations up to this number may have been done by a writer that died.

    Attributes:
        change_many: runs a statement with each of several sets of values.
        guard: refuses writes when something is wrong; accepts them until the file is watched.
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
        super().__init__(database)
        self.guard = Guard(Path())
        self.change_many = self.cursor.executemany
        self.max_queued = max_queued
        self.max_queued_per_owner = max_queued_per_owner
        self.max_queued_per_address = max_queued_per_address
        self.repeats_until = repeats_until
        self._session = session
        self._data_version = -1
        # Writes of another process while there was no writer are unknown: after a death they are assumed.
        self._changed = ChangedKeys(known=repeats_until == 0)
        self.newest = -math.inf
        self._noted_newest = -math.inf
        self._undo: list[tuple[Callable[..., object], Any]] = []
        self._before = (self._changed, self.newest, self._data_version)

    def token(self, number: int) -> str:
        """The name by which an operation's work is found again."""
        return f"{self._session}-{number}"

    def begin(self, *, reading: bool = False) -> None:
        """A transaction has started; for one that writes, the writes of other processes (an operator's command) are
        counted first.
        """
        self._undo.clear()
        self.became_many = False
        self._before = (self._changed, self.newest, self._data_version)
        if not reading:
            self._catch_up()

    def up_to_date(self) -> bool:
        """Whether no other process has written since the last writing transaction."""
        return self._version() == self._data_version

    def _version(self) -> int:
        version: int = self.change("PRAGMA data_version").fetchone()[0]
        return version

    def _catch_up(self) -> None:
        self.correct()
        version = self._version()
        if version == self._data_version:
            return
        changes = [] if self._data_version == -1 else self.execute(_CHANGES).fetchall()
        for change, request_id, *place in changes:
            self._apply(change, request_id, FairKey(*place))
        if not changes and self._data_version == -1:
            self.recount()
        elif not changes:
            # A program that is not ours has written.
            self.count_again()
            self._changed = ChangedKeys(known=False)
        else:
            self.times.reset(self.times.kinds)
        self.execute("DELETE FROM changes")
        self._data_version = version

    def _apply(self, change: str, request_id: str, place: FairKey) -> None:
        """One change of an operator's command; see `operator_state.OperatorState`."""
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
                self._changed = self._changed.and_wrote((place.owner, request_id))
            case _:
                self._changed = ChangedKeys(known=False)

    def finish(self) -> None:
        """The transaction is about to be committed."""
        self.become_many()

    def undo(self) -> None:
        """The transaction was rolled back: the values in memory return to those at its start."""
        undo, self._undo = self._undo, []
        for step, argument in reversed(undo):
            step(argument)
        self._undo.clear()
        self.times.undo()
        self._changed, self.newest, self._data_version = self._before
        self._noted_newest = -math.inf
        if self.became_many:
            # The file was not prepared for it: the next transaction starts as after a start of the writer.
            self._changed, self._data_version = ChangedKeys(known=False), -1

    def recover(self, now: float) -> None:
        """Running requests are due now: their workers have died."""
        for kind in self.times.kinds:
            self.execute(_DUE_NOW, (now, *kind))

    def at_start(self, now: float) -> None:
        """The clock may have been set back while no service was running."""
        if now < self.execute(_NEWEST).fetchone()[0]:
            self.rebase_clock(now)

    def at(self, now: float) -> None:
        """The time is `now`; the clock may have been set back since the last call."""
        if now < self.newest:
            self.rebase_clock(now)
        self.newest = now
        if abs(now - self._noted_newest) >= CLOCK_STEP:
            self.change(_NOTE_NEWEST, (now,))
            self._noted_newest = now

    def rebase_clock(self, now: float) -> None:
        """The clock was set back: future times move back too, so that the remaining waits stay the same; see
        `records.rebase_clock`.
        """
        for statement in _REBASE_CLOCK:
            self.execute(statement, (now,))
        for *place, number in self.execute(_TOO_EARLY, (now,)).fetchall():
            self.execute(_OUT_OF_LINE, (number,))
            self.wait_again(FairKey(*place))
            self.times.add_retry((place[0], place[1]))
        self.times.reset(self.times.kinds)

    def changed_externally(self) -> list[Any]:
        """Whether another process has written since the last call, and to which requests, where that is known."""
        changed, self._changed = self._changed, ChangedKeys()
        return [not changed.known or bool(changed.keys), list(changed.keys) if changed.known else None]

    def enter(self, place: FairKey) -> None:
        """Adds a queued record that can start as soon as a worker is free."""
        self.join(place)
        self.count(place.owner, place.tenant, 1)
        self._undo.append((self.leave, place))

    def leave(self, place: FairKey) -> None:
        """Removes such a record from the queue."""
        self.part(place)
        self.count(place.owner, place.tenant, -1)
        self._undo.append((self.enter, place))

    def started(self, place: FairKey) -> None:
        """Removes a record whose turn `lines` or `wheel` gave out."""
        self.count(place.owner, place.tenant, -1)
        self._undo.append((self.enter, place))

    def enter_waiting(self, place: FairKey) -> None:
        """Adds a queued record that waits for a time."""
        self.count(place.owner, place.tenant, 1)
        self.times.add_retry((place.action, place.priority))
        self._undo.append((self.leave_waiting, place))

    def leave_waiting(self, place: FairKey) -> None:
        """Removes such a record from the queue."""
        self.count(place.owner, place.tenant, -1)
        self._undo.append((self.enter_waiting, place))

    def fall_due(self, place: FairKey) -> None:
        """A queued record no longer waits for a time."""
        self.join(place)
        self.times.forget()
        self._undo.append((self.wait_again, place))

    def wait_again(self, place: FairKey) -> None:
        """A queued record waits for a time again."""
        self.part(place)
        self.times.forget()
        self._undo.append((self.fall_due, place))

    def full_for(self, owner: str) -> bool:
        """Whether the owner has reached the limit of queued records."""
        return self.max_queued_per_owner is not None and self.owners.of(owner) >= self.max_queued_per_owner

    def full_from(self, share: str) -> bool:
        """Whether the share belongs to an address that has reached the limit of queued records."""
        return (
            self.max_queued_per_address is not None
            and share.startswith(ADDRESS_SHARE)
            and self.shares.of(share) >= self.max_queued_per_address
        )

    def get(self, owner: str, request_id: str) -> list[Any] | None:
        """The row of a request."""
        row = self.execute(_GET, (owner, request_id)).fetchone()
        return None if row is None else list(row)

    def replace(self, record: RequestRecord) -> list[Any]:
        """Writes the whole record over the stored one. Returns its row."""
        self.times.forget()
        if record.status in QUEUED:
            self.times.add_expiry(record.expires_at)
        row = to_row(record)
        self.execute(_REPLACE, (*row, record.status is Status.PENDING, self.counted, record.owner, record.id))
        return list(row)


def place_of(record: RequestRecord) -> FairKey:
    """The line in which the record waits, if it does."""
    return FairKey(record.action, record.priority, record.share, record.owner)
