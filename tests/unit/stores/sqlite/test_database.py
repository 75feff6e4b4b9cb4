"""The file: its lock, its versions, its settings."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from streamer.core.errors import StoreError, StoreTooNew, StoreUnavailable
from streamer.core.messages import ErrorBody
from streamer.core.owners import OWNER_KEY, OwnerNames
from streamer.stores.sqlite import SqliteStore
from streamer.stores.sqlite.database import open_database
from streamer.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS
from streamer.testing.conformance import record
from streamer.testing.conformance.records import whole_records


@pytest.fixture
def make(path):
    def make(script):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)

    return make


class TestAFile:
    def test_each_commit_reaches_the_disk(self, path):
        with contextlib.closing(open_database(path, create=True)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)

    def test_one_of_a_newer_version_is_refused_and_left_alone(self, path, make):
        make(f"CREATE TABLE t (a); PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 99")
        before = path.read_bytes()
        with pytest.raises(StoreTooNew, match=rf"its schema is 99, this version knows {len(MIGRATIONS)}.*upgrade"):
            open_database(path, create=True)
        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        "script",
        ["CREATE TABLE theirs (a)", "PRAGMA application_id = 7; PRAGMA user_version = 0; VACUUM"],
        ids=["with tables", "still empty"],
    )
    def test_another_programs_is_refused_and_left_alone(self, path, make, script):
        make(script)
        before = path.read_bytes()
        with pytest.raises(StoreError, match="belongs to another program"):
            open_database(path, create=True)
        assert path.read_bytes() == before

    def test_one_that_is_not_sqlite_is_refused(self, path):
        path.write_text("these are notes, " * 100)
        with pytest.raises(StoreError, match="not an SQLite file"):
            open_database(path, create=True)

    def test_a_folder_is_refused(self, tmp_path):
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            open_database(tmp_path, create=True)

    def test_an_operator_creates_nothing(self, path):
        with pytest.raises(StoreError, match="does not exist"):
            open_database(path, create=False)
        assert not path.exists()

    def test_an_operator_leaves_an_empty_one_empty(self, path):
        path.touch()
        with pytest.raises(StoreError, match="is empty"):
            open_database(path, create=False)
        assert path.read_bytes() == b""

    def test_an_operator_leaves_an_earlier_version_as_its_service_knows_it(self, path):
        open_database(path, create=True, migrations=MIGRATIONS[:1]).close()
        before = path.read_bytes()
        with pytest.raises(StoreError, match=r"its schema is 1.*start the service of this version"):
            open_database(path, create=False)
        assert path.read_bytes() == before


class TestMigrations:
    @pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
    async def test_a_file_of_an_earlier_version_is_brought_up_to_date_and_its_requests_go_on(
        self, path, clock, version
    ):
        shutil.copy(Path(__file__).parent / "files" / f"version{version}.sqlite", path)
        await clock.advance(3600)
        store = await SqliteStore.open(path, clock=clock)
        owner = OwnerNames(await store.keep(OWNER_KEY, b"")).client("one")
        old = {one.id: one for one in await whole_records(store) if one.owner == owner}
        assert {one.id: one.status for one in old.values()} == {
            "completed": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED", "retrying": "RETRYING",
            "running": "PROCESSING", "last-attempt": "PROCESSING", "waiting": "PENDING", "waiting-too": "PENDING",
        }  # fmt: skip
        assert {(one.principal, one.expires_at, one.history) for one in old.values()} == {(None, None, ())}
        assert {(one.payload, one.connection_id, one.owner) for one in old.values()} == {(b'{"a": 1}', "c1", owner)}
        assert (old["completed"].result, old["completed"].seq) == (b'{"success":true}', 9)
        assert old["failed"].error == ErrorBody("BROKEN", "it broke", retryable=True, details={"part": 7})
        assert (old["running"].percentage, old["running"].message) == (40, "on the way")
        claims = await store.claim("w", 10, 30.0)
        mine = [one for one in claims.records if one.owner == owner]
        assert [one.id for one in mine] == ["waiting", "waiting-too", "running", "retrying"]
        assert [one.outcome for one in mine[2].history] == ["lost"]
        (ended,) = claims.abandoned
        assert (ended.id, [one.worker for one in ended.history]) == ("last-attempt", ["w1"])
        await store.requeue((owner, "failed"))
        await store.enqueue(record(clock, "new"))
        assert [one.id for one in (await store.claim("w", 10, 30.0)).records] == ["failed", "new"]
        await store.close()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    @pytest.mark.parametrize("version", [3, 4])
    async def test_owners_lose_their_clients_secrets_and_keep_their_requests(self, path, clock, version):
        shutil.copy(Path(__file__).parent / "files" / f"version{version}.sqlite", path)
        assert b"client:one" in path.read_bytes()
        store = await SqliteStore.open(path, clock=clock)
        names = OwnerNames(await store.keep(OWNER_KEY, b"not there"))
        records = await whole_records(store)
        owners = {one.owner for one in records}
        assert owners == {names.client("one"), names.client("two"), "connection:conn_1", "principal:t:u"}
        assert (await store.get((names.client("two"), "waiting"))).payload == b'{"a": 1}'
        await store.close()
        for file in path.parent.iterdir():
            assert b"client:one" not in file.read_bytes()
            assert b"client:two" not in file.read_bytes()
        store = await SqliteStore.open(path, clock=clock)
        assert OwnerNames(await store.keep(OWNER_KEY, b"")).client("one") == names.client("one"), "after a restart"
        await store.close()

    def test_they_are_made_in_order_and_keep_the_rows(self, path):
        steps = ["CREATE TABLE t (a); INSERT INTO t VALUES (1)", "ALTER TABLE t ADD COLUMN b DEFAULT 2"]
        open_database(path, create=True, migrations=steps[:1]).close()
        with contextlib.closing(open_database(path, create=True, migrations=steps)) as connection:
            assert connection.execute("SELECT a, b FROM t").fetchall() == [(1, 2)]
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)

    def test_one_that_fails_has_not_happened(self, path):
        steps = ["CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b; ALTER TABLE nothing ADD COLUMN c"]
        open_database(path, create=True, migrations=steps[:1]).close()
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            open_database(path, create=True, migrations=steps)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert len(connection.execute("PRAGMA table_info(t)").fetchall()) == 1
