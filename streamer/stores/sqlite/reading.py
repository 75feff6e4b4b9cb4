"""Looks in the writer process. They change nothing, and so never hold up another process's writes."""

from __future__ import annotations

from typing import Any, Final

from streamer.stores.sqlite.state import ALL, SELECT, State

_UNSETTLED: Final = f"{SELECT} WHERE owner = ? AND delivered_at IS NULL ORDER BY created_at, number LIMIT ?"
_FIND: Final = f"{SELECT} WHERE id = ? ORDER BY number"


def unsettled(state: State, _number: int, _again: bool, _now: float, owner: str, limit: int) -> list[Any]:
    return [list(row) for row in state.execute(_UNSETTLED, (owner, limit))]


def get(state: State, _number: int, _again: bool, _now: float, owner: str, request_id: str) -> Any:
    return state.get(owner, request_id)


def find(state: State, _number: int, _again: bool, _now: float, request_id: str) -> list[Any]:
    return [list(row) for row in state.execute(_FIND, (request_id,))]


def list_records(
    state: State,
    _number: int,
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
        f"SELECT {ALL}, number FROM requests WHERE {where} ORDER BY created_at DESC, number DESC LIMIT ?",  # noqa: S608 - column names are ours
        (*values, limit + 1),
    ).fetchall()
    page = [list(row) for row in rows[:limit]]
    last = [page[-1][6], page[-1][-1]] if len(rows) > limit and page else None
    return [[row[:-1] for row in page], last]


def counts(state: State, _number: int, _again: bool, _now: float) -> dict[str, int]:
    return dict(state.execute("SELECT status, count(*) FROM requests GROUP BY status").fetchall())
