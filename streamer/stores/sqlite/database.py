"""The database file: its schema versions and settings."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from streamer.core.errors import StoreError, StoreTooNew, StoreUnavailable
from streamer.core.owners import CLIENT, OwnerNames, new_key
from streamer.stores.sqlite.files import create_private
from streamer.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS

BUSY_WAIT: Final = 10.0
"""Seconds to wait for another process (an operator's) to end its own short transaction."""

_WAL_LEFT: Final = 16 * 1024 * 1024
"""Bytes of the write-ahead log that stay on disk after a burst has made it longer."""


def open_database(path: Path, *, create: bool, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """A connection with the schema of this version.

    Args:
        path: the file.
        create: create the file if necessary, and migrate one of an earlier version. Without it, the file must exist
            with this version's schema: a service that may be running on it must find nothing changed.
        migrations: the available steps.

    Raises:
        StoreTooNew: the file comes from a newer version.
        StoreError: it belongs to another program, or cannot be opened.
    """
    if not create and not path.exists():
        raise StoreError(f"{path} does not exist: no service has stored a request in it yet")
    if create and not path.exists():
        # SQLite gives its other files the mode of this one.
        os.close(create_private(path))
    try:
        database = sqlite3.connect(path, timeout=BUSY_WAIT, isolation_level=None, cached_statements=256)
        _bind_at_once()
    except sqlite3.Error as problem:
        raise StoreUnavailable(f"{path} cannot be opened: {problem}") from None
    try:
        version = _version(database, path, len(migrations), create=create)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA cache_size = -32768")
        database.execute(f"PRAGMA journal_size_limit = {_WAL_LEFT}")
        _migrate(database, version, migrations)
    except sqlite3.DatabaseError as problem:
        database.close()
        if "not a database" in str(problem):
            raise StoreError(f"{path} is not an SQLite file: use another path in backends.store") from None
        raise StoreUnavailable(f"{path} cannot be used: {problem}") from None
    except StoreError:
        database.close()
        raise
    return database


def _bind_at_once() -> None:
    """Values of these types need no conversion; declaring that costs half as much as finding no converter each time.

    It applies to the whole process, which is the writer's own.
    """
    sqlite3.register_adapter(bytes, bytes.__bytes__)
    sqlite3.register_adapter(type(None), {None: None}.get)


def _version(database: sqlite3.Connection, path: Path, known: int, *, create: bool) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    application = database.execute("PRAGMA application_id").fetchone()[0]
    empty = not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or not empty):
        raise StoreError(f"{path} belongs to another program: use another path in backends.store")
    if version > known:
        raise StoreTooNew(
            f"{path} was written by a newer version (its schema is {version}, this version knows {known}): "
            "upgrade streamer-router, or use another file"
        )
    if version < known and not create:
        if empty:
            raise StoreError(f"{path} is empty: no service has stored a request in it yet")
        raise StoreError(
            f"{path} was written by an earlier version (its schema is {version}, this version writes {known}): "
            "start the service of this version on it once, which migrates it"
        )
    return version


def _migrate(database: sqlite3.Connection, version: int, migrations: Sequence[str]) -> None:
    if version == len(migrations):
        return
    database.create_function("streamer_new_key", 0, new_key)
    database.create_function("streamer_owner", 2, _renamed)
    # Data that a migration removes must not stay in the files.
    usual = database.execute("PRAGMA secure_delete").fetchone()[0]
    database.execute("PRAGMA secure_delete = ON")
    for number in range(version, len(migrations)):
        # In one transaction with its number: an interrupted migration is rolled back.
        statements = f"BEGIN IMMEDIATE; {migrations[number]}; PRAGMA user_version = {number + 1}; "
        try:
            database.executescript(f"{statements}PRAGMA application_id = {APPLICATION_ID}; COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise
    database.execute(f"PRAGMA secure_delete = {usual}")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _renamed(key: bytes, owner: str) -> str:
    """The owner's name for a client whose secret was a part of its name."""
    return OwnerNames(key).client(owner.removeprefix(CLIENT))
