"""Counting the whole queue while the writer goes on."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import Final

from streamer.stores.sqlite.wheel import QUEUED

COUNT: Final = f"SELECT count(*) FROM requests INDEXED BY requests_queued WHERE 1 {QUEUED}"  # noqa: S608 - constants
"""How many records are in the queue."""


class Recount:
    """One count in a thread of its own, of what is committed when this is made.

    Args:
        database: a connection to the file.
        believed: how many there should be.

    Attributes:
        error: by how many that was too few; None until it is known, and where it cannot be counted.
    """

    def __init__(self, database: sqlite3.Connection, believed: int) -> None:
        self.error: int | None = None
        self._believed = believed
        path = database.execute("PRAGMA database_list").fetchone()[2]
        self._snapshot = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._snapshot.execute("BEGIN")
        # Only the first statement that reads fixes what is seen.
        self._snapshot.execute("SELECT newest FROM clock").fetchone()
        self._thread = threading.Thread(target=self._run, name="recount", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits for the end of the count."""
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._snapshot) as database, contextlib.suppress(sqlite3.Error):
            self.error = database.execute(COUNT).fetchone()[0] - self._believed
