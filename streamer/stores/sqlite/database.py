"""The file: its lock, its schema, its versions."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from streamer.core.errors import StoreError, StoreInUse, StoreTooNew, StoreUnavailable

APPLICATION_ID: Final = 0x53545231
"""`STR1`: tells our files from other programs' SQLite files."""

MIGRATIONS: Final = (
    """
    CREATE TABLE requests (
        number INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        action TEXT NOT NULL,
        payload BLOB NOT NULL,
        metadata BLOB NOT NULL,
        connection_id TEXT NOT NULL,
        created_at REAL NOT NULL,
        max_attempts INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        status TEXT NOT NULL,
        due_at REAL,
        attempts INTEGER NOT NULL,
        fence INTEGER NOT NULL,
        worker TEXT NOT NULL,
        percentage REAL NOT NULL,
        message TEXT NOT NULL,
        progress_metadata BLOB NOT NULL,
        seq INTEGER NOT NULL,
        result BLOB NOT NULL,
        error BLOB NOT NULL,
        updated_at REAL NOT NULL,
        started_at REAL,
        finished_at REAL,
        delivered_at REAL,
        stored_by TEXT NOT NULL,
        claimed_by TEXT NOT NULL DEFAULT '',
        UNIQUE (owner, id)
    );
    CREATE INDEX requests_due ON requests (action, priority, due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX requests_created ON requests (created_at);
    CREATE INDEX requests_unsettled ON requests (owner, created_at) WHERE delivered_at IS NULL;
    CREATE INDEX requests_finished ON requests (finished_at) WHERE finished_at IS NOT NULL;
    """,
)
"""Each brings a file from the version of its place to the next; `PRAGMA user_version` says where a file is.
`stored_by` and `claimed_by` name the operation that did it, so that one sent again finds its own work."""

LOCK_WAIT: Final = 3.0
"""Seconds to wait for the lock: a killed service's writer lives on until it has noticed."""


def lock(path: Path, owner_pid: int) -> int:
    """Takes the file for one service. Returns the descriptor that holds the lock until it is closed.

    Raises:
        StoreInUse: another service has it.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            by = f" (process {holder})" if holder else ""
            raise StoreInUse(
                f"{path} is in use by another service{by}: stop it, or give this one another backends.store.path"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(owner_pid).encode(), 0)
        return descriptor


def open_database(path: Path, *, create: bool, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """A connection with the schema of this version.

    Raises:
        StoreTooNew: the file comes from a newer version.
        StoreError: it is not one of ours, or cannot be opened.
    """
    if not create and not path.exists():
        raise StoreError(f"{path} does not exist: no service has stored a request there yet")
    try:
        database = sqlite3.connect(path, timeout=10.0, isolation_level=None, cached_statements=256)
    except sqlite3.Error as problem:
        raise StoreUnavailable(f"{path} cannot be opened: {problem}") from None
    try:
        _prepare(database, path, migrations)
    except sqlite3.DatabaseError as problem:
        database.close()
        if "not a database" in str(problem):
            raise StoreError(f"{path} is not an SQLite file: give backends.store another path") from None
        raise StoreUnavailable(f"{path} cannot be used: {problem}") from None
    except StoreError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    application = database.execute("PRAGMA application_id").fetchone()[0]
    empty = not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and not empty:
        raise StoreError(f"{path} belongs to another program: give backends.store another path")
    if version > len(migrations):
        raise StoreTooNew(
            f"{path} was written by a newer version (its schema is {version}, this version knows {len(migrations)}): "
            "upgrade streamer-router, or use another file"
        )
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA cache_size = -32768")
    for number in range(version, len(migrations)):
        # In one transaction with its number: a migration that was cut off has not happened.
        statements = f"BEGIN IMMEDIATE; {migrations[number]}; PRAGMA user_version = {number + 1}; "
        try:
            database.executescript(f"{statements}PRAGMA application_id = {APPLICATION_ID}; COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise
