"""Single changes in the writer process. The transitions are those of `records.advance`, as conditions."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.records import Cancelled, Requeued, Status, advance
from streamer.stores.sqlite.rows import COLUMNS, to_record
from streamer.stores.sqlite.state import ALL, State

NOT_FOUND: Final = "not found"
FULL: Final = "full"
LOST: Final = "lost"

_PLACES: Final = ", ".join("?" * (len(COLUMNS) + 1))
_INSERT: Final = f"INSERT INTO requests ({ALL}, stored_by) VALUES ({_PLACES}) ON CONFLICT DO NOTHING"  # noqa: S608 - constants
_STORED_BY: Final = "SELECT 1 FROM requests WHERE owner = ? AND id = ? AND stored_by = ?"
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
_DELIVERED: Final = (
    "UPDATE requests SET delivered_at = ? WHERE owner = ? AND id = ? AND due_at IS NULL AND delivered_at IS NULL"
)
_PURGE: Final = (
    "DELETE FROM requests WHERE number IN "
    "(SELECT number FROM requests WHERE finished_at < ? AND due_at IS NULL LIMIT ?)"
)
_PURGE_SLICE: Final = 500


def enqueue(state: State, number: int, again: bool, _now: float, row: list[Any]) -> Any:
    token = state.token(number)
    if again and state.execute(_STORED_BY, (row[0], row[1], token)).fetchone() is not None:
        return None
    if state.queued >= state.max_queued:
        stood = state.get(row[0], row[1])
        return FULL if stood is None else stood
    if state.execute(_INSERT, (*row, token)).rowcount:
        state.queued += 1
        state.kinds.add((row[2], row[8]))
        return None
    return state.get(row[0], row[1])


def renew(
    state: State, _number: int, _again: bool, now: float, leases: list[list[Any]], lease: float
) -> list[list[Any]]:
    due_at = now + lease
    return [held for held in leases if not state.execute(_RENEW, (due_at, now, *held)).rowcount]


def update_progress(
    state: State,
    _number: int,
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


def complete(state: State, _number: int, _again: bool, now: float, held: list[Any], seq: int, result: bytes) -> Any:
    if state.execute(_COMPLETE, (result, seq, now, now, *held)).rowcount:
        return None
    row = state.get(held[0], held[1])
    if row is not None and row[9] == "COMPLETED" and row[12] == held[2] and row[18] == result:
        return None
    return _lost(state, held)


def fail(
    state: State,
    _number: int,
    _again: bool,
    now: float,
    held: list[Any],
    seq: int,
    error: bytes,
    retry_at: float | None,
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


def release(state: State, _number: int, _again: bool, now: float, leases: list[list[Any]]) -> None:
    for held in leases:
        state.queued += state.execute(_RELEASE, (now, now, *held)).rowcount


def cancel(state: State, _number: int, again: bool, now: float, owner: str, request_id: str, message: str) -> Any:
    row = state.get(owner, request_id)
    if row is None:
        return NOT_FOUND
    record = to_record(row)
    if again and record.status is Status.CANCELLED and record.finished_at == now:
        return row
    ended = advance(record, Cancelled(now, message))
    if record.status is not Status.PROCESSING:
        state.queued -= 1
    return state.replace(ended)


def requeue(state: State, _number: int, again: bool, now: float, owner: str, request_id: str) -> Any:
    row = state.get(owner, request_id)
    if row is None:
        return NOT_FOUND
    record = to_record(row)
    if again and record.status is Status.PENDING and record.due_at == now:
        return row
    queued = advance(record, Requeued(now))
    state.queued += 1
    state.kinds.add((record.action, record.priority))
    return state.replace(queued)


def mark_delivered(state: State, _number: int, _again: bool, now: float, keys: list[list[Any]]) -> None:
    state.database.executemany(_DELIVERED, [(now, *key) for key in keys])


def purge(state: State, _number: int, _again: bool, _now: float, finished_before: float) -> int:
    return state.execute(_PURGE, (finished_before, _PURGE_SLICE)).rowcount


def _lost(state: State, held: list[Any]) -> list[Any]:
    row = state.get(held[0], held[1])
    return [LOST, None if row is None else row[9], None if row is None else row[12]]
