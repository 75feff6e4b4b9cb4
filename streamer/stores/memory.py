"""A queue in memory: fast, for tests and for services that need no durability. A restart loses everything."""

from __future__ import annotations

import itertools
from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from streamer.contracts.storage import Candidate, Change, Expiring, Filter, Line, LineCount, Query, Ready, Row, Timed
from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.records import QUEUED, RequestRecord, Status
from streamer.queue import StorageQueue
from streamer.queue.overview import line_of


class MemoryStorage:
    """A `Storage` in dictionaries. A storage that keeps all its records in memory can inherit from it.

    Attributes:
        rows: all rows, by key. Only `put` and `remove` change them.
        kept: the values of `keep`.
    """

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self._lines: dict[Line, deque[tuple[int, Key]]] = {}
        """The waiting records of each line, by number."""
        self._timed: dict[Status | None, dict[Key, Row]] = {Status.RETRYING: {}, Status.PROCESSING: {}}
        self._expiring: dict[Key, Row] = {}
        """The records that wait for a time."""
        self.kept: dict[str, bytes] = {}
        self._newest = 0

    async def insert(self, records: Sequence[RequestRecord], /) -> list[Row | None]:
        stored: list[Row | None] = []
        for record in records:
            row = self.rows.get(record.key)
            stored.append(row)
            if row is None:
                self.put(Row(self.next_number(), 1, record))
        return stored

    async def get(self, keys: Sequence[Key], /) -> list[Row | None]:
        return [*map(self.rows.get, keys)]

    async def replace(self, changes: Sequence[Change], /) -> list[bool]:
        return [self._replace(version, record) for version, record in changes]

    async def delete(self, finished_before: float, limit: int, /) -> int:
        return len(self.remove(self.finished(finished_before, limit)))

    async def lines(self) -> list[LineCount]:
        found = []
        for line, waiting in self._lines.items():
            retrying = sum(key in self._timed[Status.RETRYING] for _, key in waiting)
            found.append((waiting[0], LineCount(line, len(waiting) - retrying, retrying)))
        return [count for _, count in sorted(found)]

    async def candidates(self, queries: Sequence[Query], /) -> list[list[Candidate]]:
        return [
            self._ready(*query) if isinstance(query, Ready) else self._timed_or_expiring(query)[: query.limit]
            for query in queries
        ]

    async def page(
        self, wanted: Filter, /, limit: int, *, after: tuple[float, int] | None = None, oldest_first: bool = False
    ) -> list[Row]:
        rows = [row for row in self.rows.values() if matches(row.record, wanted)]
        rows.sort(key=_place, reverse=not oldest_first)
        if after is not None:
            rows = [row for row in rows if (_place(row) > after if oldest_first else _place(row) < after)]
        return rows[:limit]

    async def counts(self) -> dict[Status, int]:
        return Counter(row.record.status for row in self.rows.values())

    async def keep(self, name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        if replace:
            self.kept[name] = value
        return self.kept.setdefault(name, value)

    async def close(self) -> None:
        """Memory needs no closing."""

    def next_number(self) -> int:
        """For the next new row."""
        self._newest += 1
        return self._newest

    def put(self, row: Row) -> None:
        """Stores a row as it is, new or not."""
        record = row.record
        key, status = (record.owner, record.id), record.status
        before = self.rows.get(key)
        self.rows[key] = row
        self._newest = max(self._newest, row.number)
        old = None if before is None else before.record.status
        if old is not status:
            if old in self._timed:
                del self._timed[old][key]
            if status in QUEUED:
                if old not in QUEUED:
                    self._join(row, key)
            elif old in QUEUED:
                self._leave(row, key)
        if status in self._timed:
            self._timed[status][key] = row
        if record.expires_at is not None and status in QUEUED:
            self._expiring[key] = row
        elif self._expiring:
            self._expiring.pop(key, None)

    def finished(self, before: float, limit: int) -> list[Key]:
        """Keys of records that ended before a time."""
        rows = (row.record for row in self.rows.values() if row.record.terminal)
        old = (one.key for one in rows if one.finished_at is not None and one.finished_at < before)
        return list(itertools.islice(old, limit))

    def remove(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Removes records that have ended."""
        for key in keys:
            del self.rows[key]
        return keys

    def _replace(self, version: int, record: RequestRecord) -> bool:
        row = self.rows.get(record.key)
        if row is None or row.version != version:
            return row == (row and row.number, version + 1, record)
        self.put(Row(row.number, version + 1, record))
        return True

    def _timed_or_expiring(self, query: Timed | Expiring) -> list[Candidate]:
        if isinstance(query, Timed):
            return _by_time(
                self._timed[query.status].values(),
                lambda record: (
                    record.due_at
                    if record.due_at is not None
                    and query.after < record.due_at <= query.until
                    and query.action in (None, record.action)
                    else None
                ),
            )
        return _by_time(
            self._expiring.values(),
            lambda record: record.expires_at if (record.expires_at or 0.0) <= query.until else None,
        )

    def _ready(self, line: Line, now: float, limit: int) -> list[Candidate]:
        retrying = self._timed[Status.RETRYING]
        found: list[Candidate] = []
        for number, key in self._lines.get(line, ()):
            if len(found) == limit:
                break
            row = retrying.get(key) if retrying else None
            if row is None or (row.record.due_at or 0.0) <= now:
                found.append(Candidate(line, key[1], number, 0.0))
        return found

    def _join(self, row: Row, key: Key) -> None:
        line = line_of(row.record)
        waiting = self._lines.get(line)
        if waiting is None:
            waiting = self._lines[line] = deque()
        one = (row.number, key)
        if waiting and one < waiting[-1]:
            insort(waiting, one)
        else:
            waiting.append(one)

    def _leave(self, row: Row, key: Key) -> None:
        line = line_of(row.record)
        waiting = self._lines[line]
        if waiting[0][0] == row.number:
            waiting.popleft()
        else:
            waiting.remove((row.number, key))
        if not waiting:
            del self._lines[line]


def matches(record: RequestRecord, wanted: Filter) -> bool:
    """Whether a page with these filters includes the record."""
    return (
        (wanted.owner is None or record.owner == wanted.owner)
        and (wanted.id is None or record.id == wanted.id)
        and (wanted.status is None or record.status is wanted.status)
        and (wanted.action is None or record.action == wanted.action)
        and not (wanted.undelivered and record.delivered_at is not None)
    )


def _place(row: Row) -> tuple[float, int]:
    return row.record.created_at, row.number


def _by_time(rows: Iterable[Row], time_of: Callable[[RequestRecord], float | None]) -> list[Candidate]:
    found = [(time, row.number, row.record) for row in rows if (time := time_of(row.record)) is not None]
    found.sort(key=lambda one: one[:2])
    return [Candidate(line_of(record), record.id, number, time) for time, number, record in found]


class MemoryStore(StorageQueue):
    """A `RequestQueue` in memory. It is not durable: an acknowledged request does not survive the process.

    Args:
        clock: time. Default: the machine's own.
        max_queued: the limit of waiting records; one more is OVERLOADED.
        max_queued_per_owner: the limit of one owner; None: no limit.
        max_queued_per_address: the limit of one address, for requests without authentication; None: no limit.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        max_queued: int = 100_000,
        max_queued_per_owner: int | None = None,
        max_queued_per_address: int | None = None,
    ) -> None:
        super().__init__(
            MemoryStorage(),
            clock=clock,
            max_queued=max_queued,
            max_queued_per_owner=max_queued_per_owner,
            max_queued_per_address=max_queued_per_address,
            immediate=True,
        )
