"""The tables, and the migrations of files of earlier versions."""

from __future__ import annotations

from typing import Final

from streamer.core.owners import OWNER_KEY

APPLICATION_ID: Final = 0x53545231
"""`STR1`: distinguishes our files from other programs' SQLite files."""

_EXHAUSTED: Final = "(status = 'PROCESSING' AND attempts >= max_attempts)"
"""The condition of `records.exhausted` in the index of the second version."""

_FIRST: Final = """
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
"""

# Records that must be abandoned are separated from those that may be claimed, so that neither hides behind the other;
# and listing one owner no longer reads all requests that the owner ever sent, which blocked everybody's writes.
_SECOND: Final = f"""
    DROP INDEX requests_due;
    CREATE INDEX requests_due ON requests (action, priority, {_EXHAUSTED}, due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX requests_owner ON requests (owner, created_at);
"""

# Records that can start as soon as a worker is free (`waiting`: PENDING, and RETRYING once a claim has found it due)
# are found by their turn; records that wait for a time are found by that time.
_THIRD: Final = """
    ALTER TABLE requests ADD COLUMN principal BLOB NOT NULL DEFAULT x'';
    ALTER TABLE requests ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
    ALTER TABLE requests ADD COLUMN expires_at REAL;
    ALTER TABLE requests ADD COLUMN history BLOB NOT NULL DEFAULT x'';
    ALTER TABLE requests ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
    DROP INDEX requests_due;
    UPDATE requests SET waiting = 1 WHERE status = 'PENDING';
    CREATE INDEX requests_waiting ON requests (owner, tenant, action, priority, waiting) WHERE waiting = 1;
    CREATE INDEX requests_timed ON requests (action, priority, status, waiting, due_at)
        WHERE due_at IS NOT NULL AND status != 'PENDING';
    CREATE INDEX requests_expiring ON requests (expires_at)
        WHERE expires_at IS NOT NULL AND due_at IS NOT NULL AND status != 'PROCESSING';
"""

# Columns that may be large come last in a row, so that the others are read without them. Changes by an operator's
# command are recorded for the running service, which then need not count everything again.
_FOURTH: Final = """
    CREATE TABLE ordered (
        number INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        action TEXT NOT NULL,
        status TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        started_at REAL,
        finished_at REAL,
        delivered_at REAL,
        due_at REAL,
        expires_at REAL,
        attempts INTEGER NOT NULL,
        max_attempts INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        fence INTEGER NOT NULL,
        worker TEXT NOT NULL,
        percentage REAL NOT NULL,
        seq INTEGER NOT NULL,
        waiting INTEGER NOT NULL DEFAULT 0,
        tenant TEXT NOT NULL DEFAULT '',
        stored_by TEXT NOT NULL,
        claimed_by TEXT NOT NULL DEFAULT '',
        connection_id TEXT NOT NULL,
        message TEXT NOT NULL,
        error BLOB NOT NULL,
        principal BLOB NOT NULL DEFAULT x'',
        metadata BLOB NOT NULL,
        progress_metadata BLOB NOT NULL,
        history BLOB NOT NULL DEFAULT x'',
        payload BLOB NOT NULL,
        result BLOB NOT NULL,
        UNIQUE (owner, id)
    );
    INSERT INTO ordered SELECT
        number, owner, id, action, status, created_at, updated_at, started_at, finished_at, delivered_at, due_at,
        expires_at, attempts, max_attempts, priority, fence, worker, percentage, seq, waiting, tenant, stored_by,
        claimed_by, connection_id, message, error, principal, metadata, progress_metadata, history, payload, result
        FROM requests ORDER BY number;
    DROP TABLE requests;
    ALTER TABLE ordered RENAME TO requests;
    CREATE INDEX requests_created ON requests (created_at);
    CREATE INDEX requests_owner ON requests (owner, created_at);
    CREATE INDEX requests_unsettled ON requests (owner, created_at) WHERE delivered_at IS NULL;
    CREATE INDEX requests_finished ON requests (finished_at) WHERE finished_at IS NOT NULL;
    CREATE INDEX requests_waiting ON requests (owner, tenant, action, priority, waiting) WHERE waiting = 1;
    CREATE INDEX requests_timed ON requests (action, priority, status, waiting, due_at)
        WHERE due_at IS NOT NULL AND status != 'PENDING';
    CREATE INDEX requests_expiring ON requests (expires_at)
        WHERE expires_at IS NOT NULL AND due_at IS NOT NULL AND status != 'PROCESSING';
    CREATE TABLE changes (
        number INTEGER PRIMARY KEY,
        change TEXT NOT NULL,
        id TEXT NOT NULL,
        action TEXT NOT NULL,
        priority INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        owner TEXT NOT NULL
    );
"""

# Before this version, the column contained a client's secret. The two functions are defined in `database`.
_FIFTH: Final = f"""
    CREATE TABLE kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    INSERT INTO kept VALUES ('{OWNER_KEY}', streamer_new_key());
    UPDATE requests SET owner = streamer_owner((SELECT value FROM kept WHERE name = '{OWNER_KEY}'), owner)
        WHERE owner >= 'client:' AND owner < 'client;';
"""  # noqa: S608 - constants

_SIXTH: Final = "ALTER TABLE requests ADD COLUMN address TEXT NOT NULL DEFAULT ''"

# Turns, and the counts of owners and addresses, are read from indexes, so that no process must keep all waiting records
# in memory. An owner's count is read only when many records wait, so a record is `counted` only then, which costs time.
# `clock` has the time of the newest write, to within a second; for a file of an earlier version it is unknown.
_SEVENTH: Final = """
    ALTER TABLE requests ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
    UPDATE requests SET counted = 1 WHERE due_at IS NOT NULL AND status != 'PROCESSING';
    DROP INDEX requests_waiting;
    CREATE INDEX requests_queued ON requests (action, priority, waiting, tenant, owner)
        WHERE due_at IS NOT NULL AND status != 'PROCESSING';
    CREATE INDEX requests_counted ON requests (owner)
        WHERE counted = 1 AND due_at IS NOT NULL AND status != 'PROCESSING';
    CREATE TABLE clock (newest REAL NOT NULL);
    INSERT INTO clock VALUES (9e999);
"""

MIGRATIONS: Final = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH, _SEVENTH)
"""Each migrates a file from the version of its index to the next; `PRAGMA user_version` is the version of a file.
`stored_by` and `claimed_by` name the operation that wrote the row, so that an operation that is sent again finds its
own work.
"""
