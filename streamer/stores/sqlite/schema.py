"""The tables, and how a file of an earlier version becomes one of this version."""

from __future__ import annotations

from typing import Final

from streamer.core.owners import OWNER_KEY

APPLICATION_ID: Final = 0x53545231
"""`STR1`: tells our files from other programs' SQLite files."""

_EXHAUSTED: Final = "(status = 'PROCESSING' AND attempts >= max_attempts)"
"""What `records.exhausted` says, as the index of the second version was made with it."""

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

# What must be abandoned stands apart from what may be claimed, so that neither hides behind the other; and one
# owner's listing no longer reads all that the owner ever asked for, while everybody's writes wait.
_SECOND: Final = f"""
    DROP INDEX requests_due;
    CREATE INDEX requests_due ON requests (action, priority, {_EXHAUSTED}, due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX requests_owner ON requests (owner, created_at);
"""

# What waits for nothing but a worker (`waiting`: PENDING, and RETRYING once a claim has found it due) is found by whose
# turn it is; what waits for a time is found by the time.
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

# What may be large comes last in a row: what comes before it is read without it. And what an operator's command changes
# is noted for the service that may be running, which then need not count everything anew.
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

# Until now a client's secret stood there as it was. The two functions are `database`'s.
_FIFTH: Final = f"""
    CREATE TABLE kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    INSERT INTO kept VALUES ('{OWNER_KEY}', streamer_new_key());
    UPDATE requests SET owner = streamer_owner((SELECT value FROM kept WHERE name = '{OWNER_KEY}'), owner)
        WHERE owner >= 'client:' AND owner < 'client;';
"""  # noqa: S608 - constants

_SIXTH: Final = "ALTER TABLE requests ADD COLUMN address TEXT NOT NULL DEFAULT ''"

# Turns, and how many records an owner or an address has in the queue, are read from indexes: no process has to know all
# that waits. An owner's count is read only where many wait, so that only then a record is `counted`, which costs time.
# `clock` has the time of the newest write, to within a second; of a file of an earlier version it is unknown.
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
"""Each brings a file from the version of its place to the next; `PRAGMA user_version` says where a file is.
`stored_by` and `claimed_by` name the operation that did it, so that one sent again finds its own work."""
