"""What only the SQLite store promises: it survives its writer, its disk and its past."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys

import pytest
import uvloop

from streamer.contracts.stores import Lease
from streamer.core.errors import StoreError, StoreInUse, StoreTooNew, StoreUnavailable
from streamer.core.records import RequestRecord, Status
from streamer.stores.sqlite import SqliteStore, database
from streamer.stores.sqlite import store as store_module
from streamer.testing import ManualClock
from streamer.testing.conformance import lease_of, record


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def store(tmp_path, clock):
    store = await SqliteStore.open(tmp_path / "queue.db", clock=clock)
    yield store
    await store.close()


def rows(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id, status FROM requests").fetchall()


async def gone(pid):
    """Returns when the process is no more (it may be a zombie until it is reaped)."""
    while True:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().split()[2] == "Z":
                    return
        except FileNotFoundError:
            return
        await asyncio.sleep(0)


class TestTheFile:
    async def test_what_was_stored_is_there_after_a_new_start(self, tmp_path, clock):
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock)
        given = record(clock, metadata={"a": "ü"}, payload=b'"\xc3\xbc"')
        await store.enqueue(given)
        await store.close()
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock)
        assert await store.get(given.key) == given
        await store.close()

    async def test_work_of_the_service_before_is_due_at_once(self, tmp_path, clock):
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock)
        await store.enqueue(record(clock))
        await store.claim("before", 1, 3600.0)
        await store.close()
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock)
        (claimed,) = (await store.claim("after", 1, 30.0)).records
        assert (claimed.worker, claimed.attempts) == ("after", 2)
        await store.close()

    async def test_a_second_service_on_the_file_is_refused_in_one_line(self, store, tmp_path, monkeypatch):
        monkeypatch.setattr(database, "LOCK_WAIT", 0.0)
        with pytest.raises(StoreInUse) as refused:
            await SqliteStore.open(tmp_path / "queue.db")
        assert str(tmp_path / "queue.db") in str(refused.value)
        assert str(os.getpid()) in str(refused.value)
        assert "\n" not in str(refused.value)

    async def test_an_operator_looks_and_changes_beside_the_service(self, store, tmp_path, clock):
        await store.enqueue(record(clock, "a"))
        await store.enqueue(record(clock, "b"))
        operator = await SqliteStore.open(tmp_path / "queue.db", clock=clock, operator=True)
        assert {one.id for one in (await operator.list()).records} == {"a", "b"}
        await operator.cancel(("client:one", "a"))
        await operator.close()
        assert [one.id for one in (await store.claim("w", 10, 30.0)).records] == ["b"]

    async def test_what_an_operator_queues_again_is_claimed_and_counted(self, tmp_path, clock):
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock, max_queued=1)
        await store.enqueue(record(clock, "a"))
        await store.cancel(("client:one", "a"))
        assert (await store.claim("w", 10, 30.0)).records == []
        operator = await SqliteStore.open(tmp_path / "queue.db", clock=clock, operator=True)
        await operator.requeue(("client:one", "a"))
        await operator.close()
        with pytest.raises(Exception, match="full"):
            await store.enqueue(record(clock, "b"))
        assert [one.id for one in (await store.claim("w", 10, 30.0)).records] == ["a"]
        await store.close()

    async def test_an_operator_creates_nothing(self, tmp_path):
        with pytest.raises(StoreError, match="does not exist"):
            await SqliteStore.open(tmp_path / "none.db", operator=True)
        assert list(tmp_path.iterdir()) == []

    async def test_a_file_of_a_newer_version_is_refused_and_left_alone(self, tmp_path):
        path = tmp_path / "queue.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(
                f"CREATE TABLE t (a); PRAGMA application_id = {database.APPLICATION_ID}; PRAGMA user_version = 99"
            )
        before = path.read_bytes()
        with pytest.raises(StoreTooNew, match=r"its schema is 99.*upgrade"):
            await SqliteStore.open(path)
        assert path.read_bytes() == before

    async def test_another_programs_file_is_refused(self, tmp_path):
        path = tmp_path / "other.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (a)")
        with pytest.raises(StoreError, match="belongs to another program"):
            await SqliteStore.open(path)

    async def test_a_file_that_is_not_sqlite_is_refused(self, tmp_path):
        (tmp_path / "notes.txt").write_text("these are notes, " * 100)
        with pytest.raises(StoreError, match="not an SQLite file"):
            await SqliteStore.open(tmp_path / "notes.txt")

    async def test_a_folder_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(StoreError, match="nowhere"):
            await SqliteStore.open(tmp_path / "nowhere" / "queue.db")

    def test_migrations_bring_an_old_file_up_to_date_and_keep_its_rows(self, tmp_path):
        path = tmp_path / "old.db"
        steps = ["CREATE TABLE t (a); INSERT INTO t VALUES (1)", "ALTER TABLE t ADD COLUMN b DEFAULT 2"]
        database.open_database(path, create=True, migrations=steps[:1]).close()
        with contextlib.closing(database.open_database(path, create=True, migrations=steps)) as connection:
            assert connection.execute("SELECT a, b FROM t").fetchall() == [(1, 2)]
            assert connection.execute("PRAGMA user_version").fetchone() == (2,)

    def test_a_migration_that_fails_has_not_happened(self, tmp_path):
        path = tmp_path / "old.db"
        steps = ["CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b; ALTER TABLE nothing ADD COLUMN c"]
        database.open_database(path, create=True, migrations=steps[:1]).close()
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            database.open_database(path, create=True, migrations=steps)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
            assert len(connection.execute("PRAGMA table_info(t)").fetchall()) == 1

    def test_each_commit_reaches_the_disk(self, tmp_path):
        with contextlib.closing(database.open_database(tmp_path / "q.db", create=True)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


class TestTheWriter:
    async def test_a_killed_writer_is_replaced_and_nothing_is_lost(self, store, clock, tmp_path):
        first = store.writer_pid
        calls = [asyncio.ensure_future(store.enqueue(record(clock, f"r{n}"))) for n in range(200)]
        await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)
        assert await asyncio.gather(*calls) == [None] * 200
        assert store.writer_pid != first
        assert len({row[0] for row in rows(tmp_path / "queue.db")}) == 200

    async def test_a_claim_that_was_made_but_not_answered_is_found_again(self, store, clock):
        for n in range(5):
            await store.enqueue(record(clock, f"r{n}"))
        received = store._received

        def die_instead_of_answering(message):
            store._child._on_message = received
            os.kill(store.writer_pid, signal.SIGKILL)

        store._child._on_message = die_instead_of_answering
        claims = await store.claim("w", 3, 30.0)
        assert [one.attempts for one in claims.records] == [1, 1, 1]
        assert len((await store.claim("w", 10, 30.0)).records) == 2

    @pytest.mark.parametrize("operation", ["enqueue", "complete", "fail", "retry", "cancel", "requeue", "progress"])
    async def test_an_operation_done_but_not_answered_is_not_done_twice(self, store, clock, operation):
        await store.enqueue(record(clock))
        (claimed,) = (await store.claim("w", 1, 30.0)).records
        lease = lease_of(claimed)
        if operation == "requeue":
            await store.cancel(claimed.key)
        received = store._received

        def die_instead_of_answering(message):
            store._child._on_message = received
            os.kill(store.writer_pid, signal.SIGKILL)

        from streamer.core.messages import ErrorBody

        error = ErrorBody("BROKEN", "it broke")
        store._child._on_message = die_instead_of_answering
        match operation:
            case "enqueue":
                assert await store.enqueue(record(clock, "new")) is None
            case "complete":
                await store.complete(lease, seq=1, result=b"1")
            case "fail":
                await store.fail(lease, seq=1, error=error)
            case "retry":
                await store.fail(lease, seq=1, error=error, retry_at=clock.now() + 9)
            case "cancel":
                assert (await store.cancel(claimed.key)).status is Status.CANCELLED
            case "requeue":
                assert (await store.requeue(claimed.key)).status is Status.PENDING
            case "progress":
                await store.update_progress(lease, seq=1, percentage=5)

    async def test_random_kills_of_the_writer_lose_no_acknowledgment_and_double_nothing(self, tmp_path, seed):
        choose = random.Random(seed)
        store = await SqliteStore.open(tmp_path / "queue.db")
        stored: set[str] = set()
        completed: set[str] = set()
        claimed_twice: list[str] = []
        claimed: set[str] = set()

        async def enqueue(caller):
            for number in range(30):
                request_id = f"{caller}-{number}"
                now = store._clock.now()
                given = RequestRecord(owner="o", id=request_id, action="a", created_at=now, updated_at=now, due_at=now)
                assert await store.enqueue(given) is None
                stored.add(request_id)

        async def work():
            while len(completed) < 20 * 30:
                for taken in (await store.claim("w", 32, 3600.0)).records:
                    if taken.id in claimed:
                        claimed_twice.append(taken.id)
                    claimed.add(taken.id)
                    await store.complete(Lease(taken.owner, taken.id, taken.fence), seq=1, result=b"1")
                    completed.add(taken.id)

        async def kill():
            for _ in range(15):
                target = len(completed) + choose.randrange(5, 40)
                while len(completed) < min(target, 20 * 30):
                    await asyncio.sleep(0)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(store.writer_pid, signal.SIGKILL)

        await asyncio.gather(*(enqueue(caller) for caller in range(20)), work(), kill())
        await store.close()
        found = dict(rows(tmp_path / "queue.db"))
        assert stored == set(found)
        assert set(found.values()) == {"COMPLETED"}
        assert claimed_twice == []

    async def test_a_writer_that_cannot_be_replaced_fails_the_store_and_all_who_wait(
        self, tmp_path, clock, monkeypatch
    ):
        monkeypatch.setattr(store_module, "RESPAWN_DELAYS", (0.0, 0.0))
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock)
        failed = asyncio.ensure_future(store.failed())
        os.kill(store.writer_pid, signal.SIGSTOP)
        waiting = asyncio.ensure_future(store.enqueue(record(clock)))
        await asyncio.sleep(0)
        (tmp_path / "queue.db").write_bytes(b"this is no database any more" * 10)
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"queue.db{suffix}").unlink(missing_ok=True)
        os.kill(store.writer_pid, signal.SIGKILL)
        with pytest.raises(StoreUnavailable, match="cannot be replaced"):
            await waiting
        await failed
        with pytest.raises(StoreUnavailable):
            await store.counts()
        await store.close()

    async def test_the_writer_ends_with_the_process_that_made_it(self, tmp_path):
        script = (
            "import asyncio, sys\n"
            "from streamer.stores.sqlite import SqliteStore\n"
            "async def main():\n"
            f"    store = await SqliteStore.open({str(tmp_path / 'queue.db')!r})\n"
            "    print(store.writer_pid, flush=True)\n"
            "    await asyncio.Event().wait()\n"
            "asyncio.run(main())\n"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            pid = int(process.stdout.readline())
            process.kill()
        await asyncio.wait_for(gone(pid), 30)
        store = await SqliteStore.open(tmp_path / "queue.db")
        await store.close()

    async def test_a_caller_that_gives_up_does_not_disturb_the_others(self, store, clock):
        impatient = asyncio.ensure_future(store.enqueue(record(clock, "a")))
        patient = asyncio.ensure_future(store.enqueue(record(clock, "b")))
        await asyncio.sleep(0)
        impatient.cancel()
        assert await patient is None
        assert (await store.counts())[Status.PENDING] == 2

    async def test_closing_finishes_what_was_sent(self, tmp_path, clock):
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock)
        calls = [asyncio.ensure_future(store.enqueue(record(clock, f"r{n}"))) for n in range(50)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*calls)
        assert len(rows(tmp_path / "queue.db")) == 50

    def test_a_loop_that_never_rests_does_not_starve_the_writer(self, tmp_path):
        async def main():
            store = await SqliteStore.open(tmp_path / "queue.db")
            loop = asyncio.get_running_loop()
            turns = 0
            spinning = True

            def spin():
                nonlocal turns
                turns += 1
                if spinning:
                    sum(range(200))
                    loop.call_soon(spin)

            for _ in range(4):
                loop.call_soon(spin)
            clock = store._clock
            for n in range(200):
                await store.enqueue(record(clock, f"r{n}"))
            spinning = False
            await store.close()
            return turns

        turns = uvloop.run(main())
        assert len(rows(tmp_path / "queue.db")) == 200
        assert turns > 200, "the loop was held up by the store"


class TestTheDisk:
    async def test_a_full_disk_fails_those_who_write_and_nobody_after(self, tmp_path, clock, monkeypatch):
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock)
        await store.enqueue(record(clock, "before"))
        writer = store.writer_pid
        limit = 200 * 1024
        before = resource.prlimit(writer, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        large = b'"' + b"x" * limit + b'"'
        with pytest.raises(StoreUnavailable, match=r"queue\.db could not be written"):
            await store.enqueue(record(clock, "too-large", payload=large))
        assert await store.get(("client:one", "too-large")) is None
        resource.prlimit(writer, resource.RLIMIT_FSIZE, before)
        assert await store.enqueue(record(clock, "too-large", payload=large)) is None
        assert store.writer_pid == writer
        await store.close()

    async def test_one_operation_that_cannot_be_written_does_not_fail_its_neighbours(self, store, clock):
        writer = store.writer_pid
        limit = 400 * 1024
        before = resource.prlimit(writer, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        large = b'"' + b"x" * limit + b'"'
        answers = await asyncio.gather(
            store.enqueue(record(clock, "a")),
            store.enqueue(record(clock, "large", payload=large)),
            store.enqueue(record(clock, "b")),
            return_exceptions=True,
        )
        resource.prlimit(writer, resource.RLIMIT_FSIZE, before)
        assert answers[0] is None
        assert isinstance(answers[1], StoreUnavailable)
        assert answers[2] is None
        counts = await store.counts()
        assert counts[Status.PENDING] == 2

    async def test_purging_much_goes_in_slices(self, store, clock):
        calls = [store.enqueue(record(clock, f"r{n}")) for n in range(1200)]
        await asyncio.gather(*calls)
        await asyncio.gather(*(store.cancel(("client:one", f"r{n}")) for n in range(1200)))
        await clock.advance(10)
        assert await store.purge(clock.now()) == 1200
        assert (await store.list()).records == []
