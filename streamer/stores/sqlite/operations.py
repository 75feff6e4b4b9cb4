"""What the writer process does for each operation. The transitions are those of `records.advance`, as conditions.

Every function takes the state, the operation's token, whether it is sent again after a writer's death, the time,
and the operation's arguments; it returns plain values for the answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from streamer.core.records import (
    Abandoned,
    Cancelled,
    RequestRecord,
    Requeued,
    Status,
    advance,
)
from streamer.stores.sqlite.rows import COLUMNS, encode_error, to_record, to_row

NOT_FOUND: Final = "not found"
FULL: Final = "full"
LOST: Final = "lost"

_ALL: Final = ", ".join(COLUMNS)
_PLACES: Final = ", ".join("?" * (len(COLUMNS) + 1))
_INSERT: Final = f"INSERT INTO requests ({_ALL}, stored_by) VALUES ({_PLACES}) ON CONFLICT DO NOTHING"  # noqa: S608 - constants
_SELECT: Final = f"SELECT {_ALL} FROM requests"  # noqa: S608 - constants
_GET: Final = f"{_SELECT} WHERE owner = ? AND id = ?"
_GET_NUMBER: Final = f"{_SELECT} WHERE number = ?"
_DUE: Final = (
    "SELECT due_at, number, status = 'PROCESSING' AND attempts >= max_attempts FROM requests "
    "WHERE action = ? AND priority = ? AND due_at <= ? ORDER BY due_at LIMIT ?"
)
_NEXT_DUE: Final = (
    "SELECT due_at FROM requests WHERE action = ? AND priority = ? AND due_at IS NOT NULL ORDER BY due_at LIMIT 1"
)
_CLAIM: Final = (
    "UPDATE requests SET status = 'PROCESSING', due_at = ?, attempts = ?, fence = ?, worker = ?, percentage = 0, "
    "message = '', progress_metadata = x'', started_at = ?, updated_at = ?, claimed_by = ? WHERE number = ?"
)
_HELD: Final = "WHERE owner = ? AND id = ? AND fence = ? AND status = 'PROCESSING'"
_RENEW: Final = f"UPDATE requests SET due_at = ?, updated_at = ? {_HELD}"  # noqa: S608 - constants
_PROGRESS: Final = (
    "UPDATE requests SET percentage = max(percentage, ?), message = ?, progress_metadata = ?, seq = max(seq, ?), "  # noqa: S608 - constants
    f"updated_at = ? {_HELD}"
)
_COMPLETE: Final = (
    "UPDATE requests SET status = 'COMPLETED', due_at = NULL, result = ?, error = x'', percentage = 100, seq = ?, "  # noqa: S608 - constants
    f"updated_at = ?, finished_at = ? {_HELD}"
)
_FAIL: Final = (
    "UPDATE requests SET status = 'FAILED', due_at = NULL, error = ?, seq = ?, updated_at = ?, "  # noqa: S608 - constants
    f"finished_at = ? {_HELD}"
)
_RETRY: Final = (
    "UPDATE requests SET status = 'RETRYING', due_at = ?, error = ?, seq = ?, worker = '', updated_at = ? "  # noqa: S608 - constants
    f"{_HELD}"
)
_RELEASE: Final = (
    "UPDATE requests SET status = 'PENDING', due_at = ?, attempts = attempts - 1, worker = '', updated_at = ? "  # noqa: S608 - constants
    f"{_HELD}"
)
_REPLACE: Final = f"UPDATE requests SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE owner = ? AND id = ?"  # noqa: S608 - constants
_DELIVERED: Final = (
    "UPDATE requests SET delivered_at = ? WHERE owner = ? AND id = ? AND due_at IS NULL AND delivered_at IS NULL"
)
_UNSETTLED: Final = f"{_SELECT} WHERE owner = ? AND delivered_at IS NULL ORDER BY created_at, number LIMIT ?"
_PURGE: Final = (
    "DELETE FROM requests WHERE number IN "
    "(SELECT number FROM requests WHERE finished_at < ? AND due_at IS NULL LIMIT ?)"
)
_PURGE_SLICE: Final = 500


class State:
    """The connection, and what the writer knows beside it.

    Attributes:
        queued: PENDING and RETRYING records, so that a full queue is known without counting.
        kinds: every (action, priority) that may have records that have not ended.
    """

    def __init__(self, database: sqlite3.Connection, max_queued: int) -> None:
        self.database = database
        self.execute = database.execute
        self.max_queued = max_queued
        self.queued = 0
        self.kinds: set[tuple[str, int]] = set()
        self._data_version = -1
        self.foreign = False
        """Another process has written since the last claim."""

    def refresh(self) -> None:
        """Counts anew when another process has written to the file (an operator's command line)."""
        version = self.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self.foreign = self._data_version != -1
            self._data_version = version
            self.recount()

    def recount(self) -> None:
        """Reads `queued` and `kinds` from the file."""
        (self.queued,) = self.execute(
            "SELECT count(*) FROM requests WHERE due_at IS NOT NULL AND status != 'PROCESSING'"
        ).fetchone()
        self.kinds = set(self.execute("SELECT DISTINCT action, priority FROM requests WHERE due_at IS NOT NULL"))

    def told_of_foreign(self) -> bool:
        """Whether another process has written since this was last asked."""
        foreign, self.foreign = self.foreign, False
        return foreign

    def get(self, owner: str, request_id: str) -> list[Any] | None:
        """The row of a request."""
        row = self.execute(_GET, (owner, request_id)).fetchone()
        return None if row is None else list(row)


def enqueue(state: State, token: str, again: bool, _now: float, row: list[Any]) -> Any:
    if again:
        own = state.execute(
            "SELECT 1 FROM requests WHERE owner = ? AND id = ? AND stored_by = ?", (row[0], row[1], token)
        ).fetchone()
        if own is not None:
            return None
    if state.queued >= state.max_queued:
        stood = state.get(row[0], row[1])
        return FULL if stood is None else stood
    if state.execute(_INSERT, (*row, token)).rowcount:
        state.queued += 1
        state.kinds.add((row[2], row[8]))
        return None
    return state.get(row[0], row[1])


def claim(
    state: State,
    token: str,
    again: bool,
    now: float,
    worker: str,
    limit: int,
    lease: float,
    headroom: dict[str, int] | None,
) -> Any:
    taken: list[Any] = []
    abandoned: list[Any] = []
    if again:
        taken = [
            list(row)
            for row in state.execute(
                f"{_SELECT} WHERE due_at IS NOT NULL AND status = 'PROCESSING' AND claimed_by = ?", (token,)
            )
        ]
        abandoned = [
            list(row) for row in state.execute(f"{_SELECT} WHERE status = 'FAILED' AND claimed_by = ?", (token,))
        ]
        if taken or abandoned:
            return [taken, abandoned, now, state.told_of_foreign()]
    left = {} if headroom is None else headroom
    candidates: list[tuple[int, float, int]] = []
    for action, priority in state.kinds:
        room = min(limit, left.get(action, limit))
        # Those that must be abandoned are looked for beyond the limit too: nobody else would end them.
        for due_at, number, exhausted in state.execute(_DUE, (action, priority, now, max(room, 1))).fetchall():
            if exhausted:
                abandoned.append(_abandon(state, token, now, number))
            elif room > 0:
                candidates.append((-priority, due_at, number))
    if len(candidates) > 1:
        candidates.sort()
    lease_until = now + lease
    updates = []
    for _, _, number in candidates:
        if len(taken) == limit:
            break
        row = list(state.execute(_GET_NUMBER, (number,)).fetchone())
        action = row[2]
        if action in left:
            if left[action] <= 0:
                continue
            left[action] -= 1
        if row[9] != "PROCESSING":
            state.queued -= 1
        attempts, fence = row[11] + 1, row[12] + 1
        row[9:17] = ["PROCESSING", lease_until, attempts, fence, worker, 0.0, "", b""]
        row[20] = row[21] = now
        updates.append((lease_until, attempts, fence, worker, now, now, token, number))
        taken.append(row)
    state.database.executemany(_CLAIM, updates)
    next_due = now if len(taken) == limit > 0 else _next_due(state, left)
    return [taken, abandoned, next_due, state.told_of_foreign()]


def _abandon(state: State, token: str, now: float, number: int) -> list[Any]:
    row = list(state.execute(_GET_NUMBER, (number,)).fetchone())
    ended = advance(to_record(row), Abandoned(now))
    state.execute("UPDATE requests SET claimed_by = ? WHERE number = ?", (token, number))
    return _replace(state, ended)


def _next_due(state: State, left: dict[str, int]) -> float | None:
    earliest: float | None = None
    idle = []
    for kind in state.kinds:
        row = state.execute(_NEXT_DUE, kind).fetchone()
        if row is None:
            idle.append(kind)
        elif left.get(kind[0], 1) > 0 and (earliest is None or row[0] < earliest):
            earliest = row[0]
    # A kind without open records comes back with its next one; until then it need not be asked after.
    state.kinds.difference_update(idle)
    return earliest


def renew(
    state: State, _token: str, _again: bool, now: float, leases: list[list[Any]], lease: float
) -> list[list[Any]]:
    due_at = now + lease
    return [held for held in leases if not state.execute(_RENEW, (due_at, now, *held)).rowcount]


def update_progress(
    state: State,
    _token: str,
    _again: bool,
    now: float,
    held: list[Any],
    seq: int,
    percentage: float,
    message: str,
    metadata: bytes,
) -> Any:
    changed = state.execute(_PROGRESS, (percentage, message, metadata, seq, now, *held)).rowcount
    return None if changed else _lost(state, held)


def complete(state: State, _token: str, _again: bool, now: float, held: list[Any], seq: int, result: bytes) -> Any:
    if state.execute(_COMPLETE, (result, seq, now, now, *held)).rowcount:
        return None
    row = state.get(held[0], held[1])
    if row is not None and row[9] == "COMPLETED" and row[12] == held[2] and row[18] == result:
        return None
    return _lost(state, held)


def fail(
    state: State, _token: str, _again: bool, now: float, held: list[Any], seq: int, error: bytes, retry_at: float | None
) -> Any:
    if retry_at is None:
        if state.execute(_FAIL, (error, seq, now, now, *held)).rowcount:
            return None
    elif state.execute(_RETRY, (retry_at, error, seq, now, *held)).rowcount:
        state.queued += 1
        return None
    row = state.get(held[0], held[1])
    if row is not None and row[12] == held[2]:
        same_end = retry_at is None and row[9] == "FAILED" and row[19] == error
        same_retry = retry_at is not None and row[9] == "RETRYING" and row[10] == retry_at
        if same_end or same_retry:
            return None
    return _lost(state, held)


def release(state: State, _token: str, _again: bool, now: float, leases: list[list[Any]]) -> None:
    for held in leases:
        state.queued += state.execute(_RELEASE, (now, now, *held)).rowcount


def cancel(state: State, _token: str, again: bool, now: float, owner: str, request_id: str, message: str) -> Any:
    row = state.get(owner, request_id)
    if row is None:
        return NOT_FOUND
    record = to_record(row)
    if again and record.status is Status.CANCELLED and record.finished_at == now:
        return row
    ended = advance(record, Cancelled(now, message))
    if record.status is not Status.PROCESSING:
        state.queued -= 1
    return _replace(state, ended)


def requeue(state: State, _token: str, again: bool, now: float, owner: str, request_id: str) -> Any:
    row = state.get(owner, request_id)
    if row is None:
        return NOT_FOUND
    record = to_record(row)
    if again and record.status is Status.PENDING and record.due_at == now:
        return row
    queued = advance(record, Requeued(now))
    state.queued += 1
    state.kinds.add((record.action, record.priority))
    return _replace(state, queued)


def mark_delivered(state: State, _token: str, _again: bool, now: float, keys: list[list[Any]]) -> None:
    state.database.executemany(_DELIVERED, [(now, *key) for key in keys])


def unsettled(state: State, _token: str, _again: bool, _now: float, owner: str, limit: int) -> list[Any]:
    return [list(row) for row in state.execute(_UNSETTLED, (owner, limit))]


def get(state: State, _token: str, _again: bool, _now: float, owner: str, request_id: str) -> Any:
    return state.get(owner, request_id)


def find(state: State, _token: str, _again: bool, _now: float, request_id: str) -> list[Any]:
    return [list(row) for row in state.execute(f"{_SELECT} WHERE id = ? ORDER BY number", (request_id,))]


def list_records(
    state: State,
    _token: str,
    _again: bool,
    _now: float,
    owner: str | None,
    status: str | None,
    action: str | None,
    limit: int,
    before: list[Any] | None,
) -> Any:
    conditions = ["1"]
    values: list[Any] = []
    for column, value in (("owner", owner), ("status", status), ("action", action)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if before is not None:
        conditions.append("(created_at, number) < (?, ?)")
        values += before
    where = " AND ".join(conditions)
    rows = state.execute(
        f"SELECT {_ALL}, number FROM requests WHERE {where} ORDER BY created_at DESC, number DESC LIMIT ?",  # noqa: S608 - column names are ours
        (*values, limit + 1),
    ).fetchall()
    page = [list(row) for row in rows[:limit]]
    last = [page[-1][6], page[-1][-1]] if len(rows) > limit and page else None
    return [[row[:-1] for row in page], last]


def counts(state: State, _token: str, _again: bool, _now: float) -> dict[str, int]:
    return dict(state.execute("SELECT status, count(*) FROM requests GROUP BY status").fetchall())


def purge(state: State, _token: str, _again: bool, _now: float, finished_before: float) -> int:
    return state.execute(_PURGE, (finished_before, _PURGE_SLICE)).rowcount


def _replace(state: State, record: RequestRecord) -> list[Any]:
    row = to_row(record)
    state.execute(_REPLACE, (*row, record.owner, record.id))
    return list(row)


def _lost(state: State, held: list[Any]) -> list[Any]:
    row = state.get(held[0], held[1])
    return [LOST, None if row is None else row[9], None if row is None else row[12]]


Operation = Callable[..., Any]
OPERATIONS: Final[tuple[Operation, ...]] = (
    enqueue,
    claim,
    renew,
    update_progress,
    complete,
    fail,
    release,
    cancel,
    requeue,
    mark_delivered,
    unsettled,
    get,
    find,
    list_records,
    counts,
    purge,
)
NUMBERS: Final = {operation.__name__: number for number, operation in enumerate(OPERATIONS)}
__all__ = ["FULL", "LOST", "NOT_FOUND", "NUMBERS", "OPERATIONS", "State", "encode_error"]
