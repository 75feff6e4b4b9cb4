"""Counts the whole queue while the writer continues."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import Final

from streamer.stores.sqlite.wheel import QUEUED

COUNT: Final = f"SELECT count(*) FROM requests INDEXED BY requests_queued WHERE 1 {QUEUED}"  # noqa: S608 - constants
"""How many records are in the queue."""


class Recount:
    """One count in a separate thread, of the rows that are committed when this object is created.

    Args:
        database: a connection to the file.
        believed: the assumed number.

    Attributes:
        error: the difference to the assumed number; None until it is known, and where it cannot be counted.
    """

    def __init__(self, database: sqlite3.Connection, believed: int) -> None:
        self.error: int | None = None
        self._believed = believed
        path = database.execute("PRAGMA database_list").fetchone()[2]
        self._snapshot = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._snapshot.execute("BEGIN")
        # Only the first statement that reads fixes the snapshot.
        self._snapshot.execute("SELECT newest FROM clock").fetchone()
        self._thread = threading.Thread(target=self._run, name="recount", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits for the end of the count."""
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._snapshot) as database, contextlib.suppress(sqlite3.Error):
            self.error = database.execute(COUNT).fetchone()[0] - self._believed
