"""What the writer process knows beside the file."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from streamer.core.records import RequestRecord
from streamer.stores.sqlite.rows import COLUMNS, to_row

ALL: Final = ", ".join(COLUMNS)
SELECT: Final = f"SELECT {ALL} FROM requests"  # noqa: S608 - constants
_GET: Final = f"{SELECT} WHERE owner = ? AND id = ?"
_REPLACE: Final = f"UPDATE requests SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE owner = ? AND id = ?"  # noqa: S608 - constants

Snapshot = tuple[int, set[tuple[str, int]], bool]


class State:
    """The connection, and what is derived from the file and kept in memory.

    Args:
        database: the open file.
        max_queued: how many records may wait.
        session: names the store object that sends; with an operation's number it is that operation's own name.
        repeats_until: operations with a number up to this one may have been done by a writer that died.

    Attributes:
        queued: PENDING and RETRYING records, so that a full queue is known without counting.
        kinds: every (action, priority) that may have records that have not ended.
    """

    def __init__(
        self, database: sqlite3.Connection, max_queued: int, *, session: str = "", repeats_until: int = 0
    ) -> None:
        self.database = database
        self.execute = database.execute
        self.max_queued = max_queued
        self.repeats_until = repeats_until
        self.queued = 0
        self.kinds: set[tuple[str, int]] = set()
        self._session = session
        self._data_version = -1
        # What another process wrote while there was no writer went by unseen: after a death it is assumed.
        self._foreign = repeats_until > 0

    def token(self, number: int) -> str:
        """The name under which an operation's work is found again."""
        return f"{self._session}-{number}"

    def refresh(self) -> None:
        """Counts anew when another process has written to the file (an operator's command line)."""
        version = self.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self._foreign = self._foreign or self._data_version != -1
            self._data_version = version
            self.recount()

    def recount(self) -> None:
        """Reads `queued` and `kinds` from the file."""
        (self.queued,) = self.execute(
            "SELECT count(*) FROM requests WHERE due_at IS NOT NULL AND status != 'PROCESSING'"
        ).fetchone()
        self.kinds = set(self.execute("SELECT DISTINCT action, priority FROM requests WHERE due_at IS NOT NULL"))

    def snapshot(self) -> Snapshot:
        """What a transaction that fails must leave as it was."""
        return self.queued, set(self.kinds), self._foreign

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to it."""
        self.queued, self.kinds, self._foreign = snapshot

    def told_of_foreign(self) -> bool:
        """Whether another process has written since this was last asked."""
        foreign, self._foreign = self._foreign, False
        return foreign

    def get(self, owner: str, request_id: str) -> list[Any] | None:
        """The row of a request."""
        row = self.execute(_GET, (owner, request_id)).fetchone()
        return None if row is None else list(row)

    def replace(self, record: RequestRecord) -> list[Any]:
        """Writes the whole record over the one that stands. Returns its row."""
        row = to_row(record)
        self.execute(_REPLACE, (*row, record.owner, record.id))
        return list(row)
