"""Small SQLite files in the data folder."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

_PATIENCE = 30.0
"""Seconds to wait for another writer."""


@contextlib.contextmanager
def transaction(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> Iterator[sqlite3.Connection]:
    """A transaction that reads and writes: durably committed when the block succeeds, otherwise rolled back.

    Concurrent transactions wait for each other. It blocks: call it in a thread.

    Args:
        path: the file, created if it does not exist.
        prepare: creates the tables of a new file, in the same transaction.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # isolation_level None: this code controls the transactions.
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone() == (0,):
                prepare(connection)
                connection.execute("PRAGMA user_version = 1")
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
