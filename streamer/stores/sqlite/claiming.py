"""Claims in the writer process."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.records import Abandoned, advance
from streamer.stores.sqlite.rows import to_record
from streamer.stores.sqlite.schema import EXHAUSTED
from streamer.stores.sqlite.state import SELECT, State

_GET_NUMBER: Final = f"{SELECT} WHERE number = ?"
_DUE: Final = (
    f"SELECT due_at, number FROM requests WHERE action = ? AND priority = ? AND {EXHAUSTED} = 0 AND due_at <= ? "  # noqa: S608 - constants
    "ORDER BY due_at LIMIT ?"
)
_TO_ABANDON: Final = (
    f"SELECT number FROM requests WHERE action = ? AND priority = ? AND {EXHAUSTED} = 1 AND due_at <= ? "  # noqa: S608 - constants
    "ORDER BY due_at"
)
_NEXT_DUE: Final = (
    f"SELECT due_at FROM requests WHERE action = ? AND priority = ? AND {EXHAUSTED} = ? AND due_at IS NOT NULL "  # noqa: S608 - constants
    "ORDER BY due_at LIMIT 1"
)
_CLAIM: Final = (
    "UPDATE requests SET status = 'PROCESSING', due_at = ?, attempts = ?, fence = ?, worker = ?, percentage = 0, "
    "message = '', progress_metadata = x'', started_at = ?, updated_at = ?, claimed_by = ? WHERE number = ?"
)
_MARK: Final = "UPDATE requests SET claimed_by = ? WHERE number = ?"
_TAKEN_BY: Final = f"{SELECT} WHERE due_at IS NOT NULL AND status = 'PROCESSING' AND claimed_by = ?"
_ABANDONED_BY: Final = f"{SELECT} WHERE status = 'FAILED' AND claimed_by = ?"


def claim(
    state: State,
    number: int,
    again: bool,
    now: float,
    worker: str,
    limit: int,
    lease: float,
    headroom: dict[str, int] | None,
) -> Any:
    token = state.token(number)
    left = {} if headroom is None else headroom
    if again:
        taken = [list(row) for row in state.execute(_TAKEN_BY, (token,))]
        abandoned = [list(row) for row in state.execute(_ABANDONED_BY, (token,))]
        if taken or abandoned:
            return [taken, abandoned, _next_due(state, left), state.told_of_foreign()]
    abandoned = [
        _abandon(state, token, now, row)
        for kind in state.kinds
        for (row,) in state.execute(_TO_ABANDON, (*kind, now)).fetchall()
    ]
    taken = _take(state, token, now, worker, limit, now + lease, left)
    return [taken, abandoned, _next_due(state, left), state.told_of_foreign()]


def _take(
    state: State, token: str, now: float, worker: str, limit: int, lease_until: float, left: dict[str, int]
) -> list[Any]:
    candidates: list[tuple[int, float, int]] = []
    for action, priority in state.kinds:
        room = min(limit, left.get(action, limit))
        if room > 0:
            due = state.execute(_DUE, (action, priority, now, room))
            candidates += [(-priority, due_at, row) for due_at, row in due]
    candidates.sort()
    taken: list[Any] = []
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
    return taken


def _abandon(state: State, token: str, now: float, number: int) -> list[Any]:
    record = to_record(list(state.execute(_GET_NUMBER, (number,)).fetchone()))
    state.execute(_MARK, (token, number))
    return state.replace(advance(record, Abandoned(now)))


def _next_due(state: State, left: dict[str, int]) -> float | None:
    earliest: float | None = None
    idle = []
    for kind in state.kinds:
        first = [row[0] for exhausted in (0, 1) for row in state.execute(_NEXT_DUE, (*kind, exhausted))]
        if not first:
            idle.append(kind)
        elif left.get(kind[0], 1) > 0 and (earliest is None or min(first) < earliest):
            earliest = min(first)
    # A kind without open records comes back with its next one; until then it need not be asked after.
    state.kinds.difference_update(idle)
    return earliest
