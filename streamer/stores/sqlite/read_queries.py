"""Reads in the writer process. Nothing here changes the file, so reads do not block writes of other processes.

The size of one answer is limited, however much is requested and however large the requests are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, Final

from streamer.stores.sqlite.rows import LARGE, SUMMARY, to_summary
from streamer.stores.sqlite.state import State

PAGE_BYTES: Final = 256 * 1024
"""Maximum bytes of text in a page; a page that exceeds them ends early."""
PAGE_ROWS: Final = 1000
"""Rows that are examined for one page; when a filter excludes that many, the page ends early."""
SLICE_ROWS: Final = 2000
"""Rows that are examined in one step of an answer that needs all of them; other writes run between the steps."""

_UNSETTLED: Final = (
    "SELECT id FROM requests WHERE owner = ? AND delivered_at IS NULL ORDER BY created_at, number LIMIT ?"
)
_SIZE: Final = f"SELECT {' + '.join(f'length({name})' for name in LARGE)} FROM requests WHERE owner = ? AND id = ?"  # noqa: S608 - constants
_FIND: Final = f"SELECT {SUMMARY} FROM requests WHERE id = ? AND number > ? AND number <= ? ORDER BY number LIMIT ?"  # noqa: S608 - constants
_COUNTS: Final = "SELECT status, count(*) FROM requests WHERE number > ? AND number <= ? GROUP BY status"
_SLICE_END: Final = "SELECT number FROM requests WHERE number > ? ORDER BY number LIMIT 1 OFFSET ?"
_LAST: Final = (1 << 63) - 1
_NEWEST_FIRST: Final = "ORDER BY created_at DESC, number DESC"


def undelivered(state: State, _number: int, _again: bool, _now: float, owner: str, limit: int) -> list[str]:
    return [request_id for (request_id,) in state.execute(_UNSETTLED, (owner, limit))]


def get(state: State, _number: int, _again: bool, _now: float, owner: str, request_id: str, at_most: int) -> Any:
    """The row and its size; only the size when it is larger than may be read now."""
    found = state.execute(_SIZE, (owner, request_id)).fetchone()
    if found is None:
        return None
    return [state.get(owner, request_id) if found[0] <= at_most else None, found[0]]


def find(
    state: State, _number: int, _again: bool, _now: float, request_id: str, limit: int, after: int = 0
) -> list[Any]:
    """The rows with this id after that number, for one step, and where the next step starts."""
    end = _slice_end(state, after)
    found = state.execute(_FIND, (request_id, after, _LAST if end is None else end, limit))
    return [[to_summary(row) for row in found], end]


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
    """A page of summaries, and the position of the last one where more may follow."""
    whose, which = _Conditions(), _Conditions()
    whose.add("owner = ?", owner)
    whose.add("(created_at, number) < (?, ?)", *(before or ()))
    which.add("status = ?", status)
    which.add("action = ?", action)
    end = state.execute(
        f"SELECT created_at, number FROM requests WHERE {whose} {_NEWEST_FIRST} LIMIT 2 OFFSET ?",  # noqa: S608 - the texts are ours
        (*whose.values, PAGE_ROWS - 1),
    ).fetchall()
    # The second one only shows that it exists: without it, the page is the last one.
    last = list(end[0]) if len(end) > 1 else None
    # One more than requested shows whether more follow.
    looked_at = PAGE_ROWS if which.values else min(PAGE_ROWS, limit + 1)
    rows = state.execute(
        f"SELECT {SUMMARY}, number FROM requests WHERE number IN "  # noqa: S608 - as above
        f"(SELECT number FROM requests WHERE {whose} {_NEWEST_FIRST} LIMIT ?) AND {which} {_NEWEST_FIRST}",
        (*whose.values, looked_at, *which.values),
    )
    # Closed before its end; otherwise it would keep its position in the write-ahead log.
    with contextlib.closing(rows):
        return _page(rows, limit, last)


class _Conditions:
    """A statement's conditions, and their values."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._texts = ["1"]

    def add(self, text: str, *values: Any) -> None:
        """Adds a condition, unless it has no values."""
        if values and None not in values:
            self._texts.append(text)
            self.values += values

    def __str__(self) -> str:
        return " AND ".join(self._texts)


def _page(rows: Iterable[tuple[Any, ...]], limit: int, last: list[Any] | None) -> Any:
    page: list[list[Any]] = []
    at: list[Any] | None = None
    size = 0
    for row in rows:
        if len(page) >= limit or size >= PAGE_BYTES:
            return [page, at]
        at = [row[4], row[-1]]
        summary = to_summary(row[:-1])
        page.append(summary)
        size += _size(summary)
    return [page, last]


def _size(summary: list[Any]) -> int:
    texts = [*summary, *(summary[-1] or ())]
    return sum(len(value) for value in texts if isinstance(value, str))


def counts(state: State, _number: int, _again: bool, _now: float, after: int = 0) -> list[Any]:
    """How many of the rows after that number are in each state, for one step, and where the next step starts."""
    end = _slice_end(state, after)
    return [dict(state.execute(_COUNTS, (after, _LAST if end is None else end)).fetchall()), end]


def _slice_end(state: State, after: int) -> int | None:
    """The number of the last row of a step; None for the last step."""
    found = state.execute(_SLICE_END, (after, SLICE_ROWS - 1)).fetchone()
    return None if found is None else int(found[0])
