"""Claims in the writer process."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice
from typing import Any, Final

from streamer.core.records import Abandoned, Claimed, Expired, Status, advance, follows_loss
from streamer.stores.fairness import Lapsed, Place, Room
from streamer.stores.sqlite.rows import to_record
from streamer.stores.sqlite.state import ALL, SELECT, TIMED, State, place_of

_SLICE: Final = 256
"""How many records expire, or of a kind fall due, in one claim at most, so that other operations go between."""

_GET_NUMBER: Final = f"{SELECT} WHERE number = ?"
_EXPIRED: Final = (
    "SELECT number, waiting FROM requests INDEXED BY requests_expiring "
    "WHERE expires_at <= ? AND expires_at IS NOT NULL AND due_at IS NOT NULL AND status != 'PROCESSING' LIMIT ?"
)
_LAPSED: Final = (
    "SELECT due_at, number, tenant, max_attempts - attempts, coalesce(expires_at <= ?, 0) FROM requests "  # noqa: S608 - constants
    "INDEXED BY requests_timed "
    f"WHERE action = ? AND priority = ? AND status = 'PROCESSING' AND waiting = 0 AND due_at <= ? {TIMED}"
)
_FALLEN_DUE: Final = (
    "SELECT tenant, owner, number FROM requests INDEXED BY requests_timed "  # noqa: S608 - constants
    f"WHERE action = ? AND priority = ? AND status = 'RETRYING' AND waiting = 0 AND due_at <= ? {TIMED} "
    "ORDER BY due_at LIMIT ?"
)
_IN_LINE: Final = "UPDATE requests SET waiting = 1 WHERE number = ?"
_OLDEST: Final = (
    f"SELECT {ALL}, number FROM requests INDEXED BY requests_waiting "  # noqa: S608 - constants
    "WHERE waiting = 1 AND action = ? AND priority = ? AND tenant = ? AND owner = ? ORDER BY number LIMIT ?"
)
_NEXT_RETRY: Final = (
    "SELECT due_at FROM requests INDEXED BY requests_timed "  # noqa: S608 - constants
    f"WHERE action = ? AND priority = ? AND status = 'RETRYING' AND waiting = 0 {TIMED} ORDER BY due_at LIMIT 1"
)
_RUNNING: Final = (
    "SELECT due_at, tenant, max_attempts - attempts FROM requests INDEXED BY requests_timed "  # noqa: S608 - constants
    f"WHERE action = ? AND priority = ? AND status = 'PROCESSING' AND waiting = 0 {TIMED} ORDER BY due_at"
)
_CLAIM: Final = (
    "UPDATE requests SET status = 'PROCESSING', due_at = ?, attempts = ?, fence = ?, worker = ?, percentage = 0, "
    "message = '', progress_metadata = x'', started_at = ?, updated_at = ?, claimed_by = ?, waiting = 0 "
    "WHERE number = ?"
)
_MARK: Final = "UPDATE requests SET claimed_by = ? WHERE number = ?"
_TAKEN_BY: Final = f"{SELECT} WHERE status = 'PROCESSING' AND claimed_by = ? {TIMED}"
_ENDED_BY: Final = f"{SELECT} WHERE status = 'FAILED' AND claimed_by = ?"


def claim(
    state: State,
    number: int,
    again: bool,
    now: float,
    worker: str,
    limit: int,
    lease: float,
    limits: list[Any],
) -> Any:
    token = state.token(number)
    room = Room(*limits)
    if again:
        taken = [list(row) for row in state.execute(_TAKEN_BY, (token,))]
        ended = [list(row) for row in state.execute(_ENDED_BY, (token,))]
        if taken or ended:
            for row in taken:
                record = to_record(row)
                if follows_loss(record):
                    room.take_lost(last=record.attempts >= record.max_attempts)
                room.take(record.action, record.tenant)
            return [taken, ended, _next_due(state, now, room), *state.changed_externally()]
    lapsed, to_end = _lapsed(state, now)
    waiting_ended = state.execute(_EXPIRED, (now, _SLICE)).fetchall()
    ended = [_end(state, token, now, row, waiting=False) for row in to_end]
    ended += [_end(state, token, now, row, waiting=bool(waiting)) for row, waiting in waiting_ended]
    _fall_due(state, now)
    if len(waiting_ended) == _SLICE:
        # More may have expired, which must not begin: the next claim goes on.
        return [[], ended, now, *state.changed_externally()]
    turns = state.lines.take(limit, room, lapsed)
    rows = _in_line_rows(state, [turn for turn in turns if isinstance(turn, Place)])
    taken, updates = [], []
    for turn in turns:
        if isinstance(turn, Lapsed):
            taken.append(_take_over(state, token, turn.record, Claimed(now, worker, now + lease)))
            continue
        for found in islice(rows[turn], 1):
            row = list(found)
            at = row.pop()
            attempts, fence = row[11] + 1, row[12] + 1
            row[9:17] = ["PROCESSING", now + lease, attempts, fence, worker, 0.0, "", b""]
            row[20] = row[21] = now
            updates.append((now + lease, attempts, fence, worker, now, now, token, at))
            taken.append(row)
            state.kinds.add((turn.action, turn.priority))
    state.database.executemany(_CLAIM, updates)
    return [taken, ended, _next_due(state, now, room), *state.changed_externally()]


def _lapsed(state: State, now: float) -> tuple[list[Lapsed], list[int]]:
    """What lost its worker and may run again, and what must end instead. Both are as few as could run at one time."""
    lapsed, to_end = [], []
    for kind in state.kinds:
        for due_at, number, tenant, attempts_left, expired in state.execute(_LAPSED, (now, *kind, now)):
            if attempts_left <= 0 or expired:
                to_end.append(number)
            else:
                lapsed.append(Lapsed(due_at, number, *kind, tenant, attempts_left == 1))
    return lapsed, to_end


def _end(state: State, token: str, now: float, number: int, *, waiting: bool) -> list[Any]:
    record = to_record(list(state.execute(_GET_NUMBER, (number,)).fetchone()))
    if waiting:
        state.leave(place_of(record))
    elif record.status is not Status.PROCESSING:
        state.leave_waiting(place_of(record))
    state.execute(_MARK, (token, number))
    lost = record.status is Status.PROCESSING and record.attempts >= record.max_attempts
    return state.replace(advance(record, Abandoned(now) if lost else Expired(now)))


def _fall_due(state: State, now: float) -> None:
    """Puts the retries in line whose time has come."""
    for kind in state.kinds:
        for tenant, owner, number in state.execute(_FALLEN_DUE, (*kind, now, _SLICE)).fetchall():
            state.execute(_IN_LINE, (number,))
            state.fall_due(Place(*kind, tenant, owner))


def _in_line_rows(state: State, turns: list[Place]) -> dict[Place, Any]:
    """For each place as many rows as it has turns, oldest first."""
    rows = {}
    for place, count in Counter(turns).items():
        rows[place] = iter(state.execute(_OLDEST, (*place, count)).fetchall())
    for place in turns:
        state.begun(place)
    return rows


def _take_over(state: State, token: str, number: int, event: Claimed) -> list[Any]:
    record = to_record(list(state.execute(_GET_NUMBER, (number,)).fetchone()))
    state.execute(_MARK, (token, number))
    return state.replace(advance(record, event))


def _next_due(state: State, now: float, room: Room) -> float | None:
    if state.lines.fits(room):
        return now
    earliest: float | None = None
    for kind in tuple(state.kinds):
        retry = state.execute(_NEXT_RETRY, kind).fetchone()
        lapse = _next_lapse(state, now, room, kind)
        if retry is None and lapse is None:
            state.forget_kind(kind)
        elif room.for_action(kind[0]):
            earliest = min(time for time in (earliest, retry and retry[0], lapse) if time is not None)
    return None if earliest is None or math.isinf(earliest) else max(earliest, now)


def _next_lapse(state: State, now: float, room: Room, kind: tuple[str, int]) -> float | None:
    """When the next lease ends of those that may then run again; infinite when none may, None when there is none."""
    found: float | None = None
    for due_at, tenant, attempts_left in state.execute(_RUNNING, kind):
        if due_at > now or (room.for_tenant(tenant) and room.for_lost(last=attempts_left == 1)):
            return float(due_at)
        found = math.inf
    return found
