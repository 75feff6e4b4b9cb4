"""Single changes in the writer process: the transitions of `transitions.advance`, as SQL conditions."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.attempts import LastReport
from streamer.core.records import Status
from streamer.core.transitions import Cancelled, Failed, Released, Requeued, advance
from streamer.queue.common import same_json
from streamer.queue.fairness import FairKey
from streamer.stores.sqlite.rows import INITIAL, NEW, SUMMARY, decode_cause, decode_error, to_record, to_summary
from streamer.stores.sqlite.state import State, place_of

NOT_FOUND: Final = "not found"
FULL: Final = "full"
OWNER_FULL: Final = "full for its owner"
ADDRESS_FULL: Final = "full for its address"
LOST: Final = "lost"

_INSERT: Final = (
    f"INSERT INTO requests ({', '.join((*NEW, 'tenant', 'stored_by', 'counted', *INITIAL))}) "  # noqa: S608 - constants
    f"VALUES ({', '.join(('?',) * (len(NEW) + 3) + tuple(INITIAL.values()))}) ON CONFLICT DO NOTHING"
)
_STORED_BY: Final = "SELECT 1 FROM requests WHERE owner = ? AND id = ? AND stored_by = ?"
_EXISTING: Final = f"SELECT {SUMMARY}, payload FROM requests WHERE owner = ? AND id = ?"  # noqa: S608 - constants
_HELD: Final = "WHERE owner = ? AND id = ? AND fence = ? AND status = 'PROCESSING'"
_RENEW: Final = f"UPDATE requests SET due_at = ?, updated_at = ? {_HELD}"  # noqa: S608 - constants
_PROGRESS: Final = (
    "UPDATE requests SET percentage = max(percentage, ?), message = ?, progress_metadata = ?, seq = max(seq, ?), "  # noqa: S608 - constants
    f"updated_at = ? {_HELD}"
)
_COMPLETE: Final = (
    "UPDATE requests SET status = 'COMPLETED', due_at = NULL, result = ?, error = x'', percentage = 100, "  # noqa: S608 - constants
    "message = coalesce(?, message), progress_metadata = coalesce(?, progress_metadata), seq = ?4, "
    f"updated_at = ?5, finished_at = ?5 {_HELD}"
)
_WAITING: Final = "SELECT 1 FROM requests WHERE owner = ? AND id = ? AND waiting = 1"
_DELIVERED: Final = (
    "UPDATE requests SET delivered_at = ? WHERE owner = ? AND id = ? AND due_at IS NULL AND delivered_at IS NULL"
)
_PURGE: Final = (
    "DELETE FROM requests WHERE number IN (SELECT number FROM requests INDEXED BY requests_finished "
    "WHERE finished_at < ? AND finished_at IS NOT NULL AND due_at IS NULL ORDER BY finished_at LIMIT ?)"
)
_USUAL_CHECKPOINT: Final = "PRAGMA wal_autocheckpoint = 1000"
_SHORT_CHECKPOINT: Final = "PRAGMA wal_autocheckpoint = 256"
"""Deleted records are spread over the whole file: writing back as many pages as usual takes too long."""
_KEEP_FIRST: Final = "INSERT INTO kept (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
_KEEP_NEWEST: Final = "INSERT INTO kept (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_KEPT: Final = "SELECT value FROM kept WHERE name = ?"


def enqueue(state: State, number: int, again: bool, _now: float, row: list[Any], tenant: str) -> Any:
    token = state.token(number)
    if again and state.execute(_STORED_BY, (row[0], row[1], token)).fetchone() is not None:
        return None
    if (refusal := _refusal(state, row[0], tenant)) is not None:
        return _existing(state, row) or refusal
    if state.change(_INSERT, (*row, tenant, token, state.counted)).rowcount:
        state.enter(FairKey(row[2], row[8], tenant, row[0]))
        state.times.add_expiry(row[12])
        return None
    return _existing(state, row)


def _refusal(state: State, owner: str, share: str) -> str | None:
    if state.queued >= state.max_queued:
        return FULL
    if state.full_for(owner):
        return OWNER_FULL
    return ADDRESS_FULL if state.full_from(share) else None


def _existing(state: State, row: list[Any]) -> list[Any] | None:
    found = state.execute(_EXISTING, (row[0], row[1])).fetchone()
    if found is None:
        return None
    *summary, payload = found
    return [to_summary(summary), summary[2] == row[2] and same_json(payload, row[3])]


def renew(
    state: State, _number: int, _again: bool, now: float, leases: list[list[Any]], lease: float
) -> list[list[Any]]:
    state.times.forget()
    due_at = now + lease
    return [held for held in leases if not state.change(_RENEW, (due_at, now, *held)).rowcount]


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
    changed = state.change(_PROGRESS, (percentage, message, metadata, seq, now, *held)).rowcount
    return None if changed else _lost(state.get(held[0], held[1]))


def complete(
    state: State,
    _number: int,
    _again: bool,
    now: float,
    held: list[Any],
    seq: int,
    result: bytes,
    message: str | None = None,
    metadata: bytes | None = None,
) -> Any:
    if state.change(_COMPLETE, (result, message, metadata, seq, now, *held)).rowcount:
        state.times.forget()
        return None
    row = state.get(held[0], held[1])
    if row is not None and row[9] == "COMPLETED" and row[12] == held[2] and row[18] == result:
        return None
    return _lost(row)


def fail(
    state: State,
    _number: int,
    _again: bool,
    now: float,
    held: list[Any],
    seq: int,
    error: bytes,
    retry_at: float | None,
    cause: bytes = b"",
    progress: list[Any] | None = None,
) -> Any:
    row = state.get(held[0], held[1])
    if row is None or row[12] != held[2]:
        return _lost(row)
    if row[9] != "PROCESSING":
        same_end = retry_at is None and row[9] == "FAILED" and row[19] == error
        same_retry = retry_at is not None and row[9] == "RETRYING" and row[10] == retry_at
        return None if same_end or same_retry else _lost(row)
    last = None if progress is None else LastReport(*progress)
    event = Failed(now, held[2], seq, decode_error(error), retry_at, decode_cause(cause), last)
    record = advance(to_record(row), event)
    state.replace(record)
    if retry_at is not None:
        state.enter_waiting(place_of(record))
    return None


def release(state: State, _number: int, _again: bool, now: float, leases: list[list[Any]]) -> None:
    for owner, request_id, fence in leases:
        row = state.get(owner, request_id)
        if row is not None and row[9] == "PROCESSING" and row[12] == fence:
            record = advance(to_record(row), Released(now, fence))
            state.replace(record)
            state.enter(place_of(record))


def cancel(state: State, _number: int, again: bool, now: float, owner: str, request_id: str, message: str) -> Any:
    row = state.get(owner, request_id)
    if row is None:
        return NOT_FOUND
    record = to_record(row)
    if again and record.status is Status.CANCELLED and record.finished_at == now:
        return row
    ended = advance(record, Cancelled(now, message))
    if record.status is not Status.PROCESSING:
        if state.execute(_WAITING, (owner, request_id)).fetchone() is None:
            state.leave_waiting(place_of(record))
        else:
            state.leave(place_of(record))
    return state.replace(ended)


def requeue(state: State, _number: int, again: bool, now: float, owner: str, request_id: str) -> Any:
    row = state.get(owner, request_id)
    if row is None:
        return NOT_FOUND
    record = to_record(row)
    if again and record.status is Status.PENDING and record.due_at == now:
        return row
    queued = advance(record, Requeued(now))
    state.enter(place_of(queued))
    return state.replace(queued)


def mark_delivered(state: State, _number: int, _again: bool, now: float, keys: list[list[Any]]) -> None:
    state.change_many(_DELIVERED, [(now, *key) for key in keys])


def purge(state: State, _number: int, _again: bool, _now: float, finished_before: float, limit: int) -> int:
    """Deletes at most this many; returns 0 when there are no more."""
    purged = state.execute(_PURGE, (finished_before, limit)).rowcount
    state.change(_SHORT_CHECKPOINT if purged else _USUAL_CHECKPOINT)
    return purged


def keep(state: State, _number: int, _again: bool, _now: float, name: str, value: bytes, replace: bool) -> bytes:
    state.execute(_KEEP_NEWEST if replace else _KEEP_FIRST, (name, value))
    kept: bytes = state.execute(_KEPT, (name,)).fetchone()[0]
    return kept


def _lost(row: list[Any] | None) -> list[Any]:
    return [LOST, None if row is None else row[9], None if row is None else row[12]]
