"""Claims, in the writer process."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice
from typing import Any, Final

from streamer.core.records import Status, follows_loss
from streamer.core.transitions import Abandoned, Claimed, Expired, advance
from streamer.queue.fairness import Capacity, ExpiredLease, FairKey
from streamer.stores.sqlite.due_times import TIMED
from streamer.stores.sqlite.rows import to_record
from streamer.stores.sqlite.state import ALL, SELECT, State, place_of
from streamer.stores.sqlite.wheel import QUEUED

_SLICE: Final = 256
"""Maximum number of records that expire in one claim, and that become due for each kind, so that other operations can
run in between.
"""

_GET_NUMBER: Final = f"{SELECT} WHERE number = ?"
_EXPIRED: Final = (
    "SELECT number, waiting FROM requests INDEXED BY requests_expiring "
    "WHERE expires_at <= ? AND expires_at IS NOT NULL AND due_at IS NOT NULL AND status != 'PROCESSING' LIMIT ?"
)
_EXPIRED_LEASES: Final = (
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
    f"SELECT {ALL}, number FROM requests INDEXED BY requests_queued "  # noqa: S608 - constants
    f"WHERE waiting = 1 AND action = ? AND priority = ? AND tenant = ? AND owner = ? {QUEUED} ORDER BY number LIMIT ?"
)
_RUNNING: Final = (
    "SELECT due_at, tenant, max_attempts - attempts FROM requests INDEXED BY requests_timed "  # noqa: S608 - constants
    f"WHERE action = ? AND priority = ? AND status = 'PROCESSING' AND waiting = 0 {TIMED} ORDER BY due_at"
)
_CLAIM: Final = (
    "UPDATE requests SET status = 'PROCESSING', due_at = ?1, attempts = attempts + 1, fence = fence + 1, worker = ?2, "
    "percentage = 0, message = '', progress_metadata = x'', started_at = ?3, updated_at = ?3, claimed_by = ?4, "
    "waiting = 0 WHERE number = ?5"
)
_MARK: Final = "UPDATE requests SET claimed_by = ? WHERE number = ?"
_TAKEN_BY: Final = (
    f"{SELECT} INDEXED BY requests_timed "
    f"WHERE action = ? AND priority = ? AND status = 'PROCESSING' AND waiting = 0 AND claimed_by = ? {TIMED}"
)
_ENDED_BY: Final = (
    f"{SELECT} INDEXED BY requests_finished "
    "WHERE finished_at = ? AND finished_at IS NOT NULL AND status = 'FAILED' AND claimed_by = ?"
)


def claim_of_nothing(
    state: State,
    _number: int,
    again: bool,
    now: float,
    _worker: str,
    limit: int,
    _lease: float,
    limits: list[Any],
) -> Any:
    """The answer to a claim that finds nothing and changes nothing; None where memory does not show that."""
    times = state.times
    if again or now < state.newest or now >= times.next_expiry or not times.known or times.passed(now):
        return None
    capacity = Capacity(*limits)
    if (limit and state.fits(capacity)) or not state.up_to_date():
        return None
    return [[], [], _next_due(state, now, capacity), *state.changed_externally()]


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
    capacity = Capacity(*limits)
    if again:
        taken = [list(row) for kind in state.times.kinds for row in state.execute(_TAKEN_BY, (*kind, token))]
        ended = [list(row) for row in state.execute(_ENDED_BY, (now, token))]
        if taken or ended:
            for row in taken:
                record = to_record(row)
                if follows_loss(record):
                    capacity.take_lost(last=record.attempts >= record.max_attempts)
                capacity.take(record.action, record.tenant)
            return [taken, ended, _next_due(state, now, capacity), *state.changed_externally()]
    timed = state.times.passed(now)
    leases, to_end = _expired_leases(state, now) if timed else ([], [])
    waiting_ended = state.execute(_EXPIRED, (now, _SLICE)).fetchall() if now >= state.times.next_expiry else []
    ended = [_end(state, token, now, row, waiting=False) for row in to_end]
    ended += [_end(state, token, now, row, waiting=bool(waiting)) for row, waiting in waiting_ended]
    if timed:
        _fall_due(state, now)
    if len(waiting_ended) == _SLICE:
        # More may have expired, and must not start: the next claim continues.
        return [[], ended, now, *state.changed_externally()]
    if now >= state.times.next_expiry:
        state.times.read_expiry()
    state.become_few()
    claimed = Claimed(now, worker, now + lease)
    taken = (_take_by_index if state.many else _take)(state, token, limit, capacity, leases, claimed)
    return [taken, ended, _next_due(state, now, capacity), *state.changed_externally()]


def _take(
    state: State, token: str, limit: int, capacity: Capacity, leases: list[ExpiredLease], event: Claimed
) -> list[list[Any]]:
    """Takes turns from the lines in memory."""
    turns = state.lines.take(limit, capacity, leases)
    rows = _in_line_rows(state, [turn for turn in turns if isinstance(turn, FairKey)])
    taken, updates, kinds = [], [], set()
    for turn in turns:
        if isinstance(turn, ExpiredLease):
            taken.append(_take_over(state, token, turn.record, event))
            continue
        for found in islice(rows[turn], 1):
            row = list(found)
            updates.append(_begin(row, row.pop(), token, event))
            taken.append(row)
            kinds.add((turn.action, turn.priority))
    for kind in kinds:
        state.times.add_lease(kind, event.lease_until)
    state.change_many(_CLAIM, updates)
    return taken


def _take_by_index(
    state: State, token: str, limit: int, capacity: Capacity, leases: list[ExpiredLease], event: Claimed
) -> list[list[Any]]:
    """Takes turns by the index, one after the other, because each turn decides the next."""
    taken = []
    for turn in state.wheel.take(limit, capacity, leases):
        if isinstance(turn, ExpiredLease):
            taken.append(_take_over(state, token, turn.record, event))
            continue
        place, number = turn
        row = list(state.execute(_GET_NUMBER, (number,)).fetchone())
        state.change(_CLAIM, _begin(row, number, token, event))
        state.started(place)
        state.times.add_lease((place.action, place.priority), event.lease_until)
        taken.append(row)
    return taken


def _begin(row: list[Any], number: int, token: str, event: Claimed) -> tuple[Any, ...]:
    """Changes the row as a claim does, and returns the parameters of the statement that does the same in the file."""
    row[9:17] = ["PROCESSING", event.lease_until, row[11] + 1, row[12] + 1, event.worker, 0.0, "", b""]
    row[20] = row[21] = event.at
    return (event.lease_until, event.worker, event.at, token, number)


def _expired_leases(state: State, now: float) -> tuple[list[ExpiredLease], list[int]]:
    """Requests whose worker died: those that may run again, and those that must end instead. Both are at most as many
    as could run at the same time.
    """
    leases, to_end = [], []
    for kind in state.times.kinds:
        for due_at, number, tenant, attempts_left, expired in state.execute(_EXPIRED_LEASES, (now, *kind, now)):
            if attempts_left <= 0 or expired:
                to_end.append(number)
            else:
                leases.append(ExpiredLease(due_at, number, *kind, tenant, attempts_left == 1))
    return leases, to_end


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
    """Moves retries that have become due into their lines."""
    for kind in state.times.kinds:
        for tenant, owner, number in state.execute(_FALLEN_DUE, (*kind, now, _SLICE)).fetchall():
            state.execute(_IN_LINE, (number,))
            state.fall_due(FairKey(*kind, tenant, owner))


def _in_line_rows(state: State, turns: list[FairKey]) -> dict[FairKey, Any]:
    """For each place as many rows as it has turns, oldest first."""
    rows = {}
    for place, count in Counter(turns).items():
        rows[place] = iter(state.execute(_OLDEST, (*place, count)).fetchall())
    for place in turns:
        state.started(place)
    return rows


def _take_over(state: State, token: str, number: int, event: Claimed) -> list[Any]:
    record = to_record(list(state.execute(_GET_NUMBER, (number,)).fetchone()))
    state.execute(_MARK, (token, number))
    return state.replace(advance(record, event))


def _next_due(state: State, now: float, capacity: Capacity) -> float | None:
    if state.fits(capacity):
        return now
    earliest: float | None = None
    for kind, (retry, lease_end) in state.times.read().items():
        if capacity.for_action(kind[0]):
            over = lease_end is not None and lease_end <= now
            next_end = _next_lease_end(state, now, capacity, kind) if over else lease_end
            earliest = min(time for time in (earliest, retry, next_end) if time is not None)
    return None if earliest is None or math.isinf(earliest) else max(earliest, now)


def _next_lease_end(state: State, now: float, capacity: Capacity, kind: tuple[str, int]) -> float | None:
    """When the next lease expires of requests that may then run again; infinite when none may, None when there are
    none.
    """
    found: float | None = None
    for due_at, tenant, attempts_left in state.execute(_RUNNING, kind):
        if due_at > now or (capacity.for_tenant(tenant) and capacity.for_lost(last=attempts_left == 1)):
            return float(due_at)
        found = math.inf
    return found
