"""What the SQLite store promises of its file, of operators beside it, and of its disk."""

from __future__ import annotations

import asyncio
import os
import resource

import pytest

from streamer.core.errors import Error, StoreError, StoreInUse, StoreTooNew, StoreUnavailable
from streamer.core.messages import ErrorBody
from streamer.core.records import Status, rebase_clock
from streamer.stores.sqlite import SqliteStore, writer_process
from streamer.stores.sqlite import store as store_module
from streamer.stores.sqlite.database import open_database
from streamer.stores.sqlite.schema import MIGRATIONS
from streamer.testing.conformance import lease_of, record
from streamer.testing.conformance.records import whole_records

pytestmark = pytest.mark.service  # it starts writers of SQLite


class TestTheFile:
    async def test_what_was_stored_is_there_after_a_new_start(self, path, clock):
        store = await SqliteStore.open(path, clock=clock)
        given = record(clock, metadata={"a": "ü"}, payload=b'"\xc3\xbc"')
        await store.enqueue(given)
        await store.close()
        store = await SqliteStore.open(path, clock=clock)
        assert await store.get(given.key) == given
        await store.close()

    async def test_work_of_the_service_before_is_due_at_once_and_its_attempt_counts(self, path, clock):
        store = await SqliteStore.open(path, clock=clock)
        await store.enqueue(record(clock))
        await store.claim("before", 1, 3600.0)
        await store.close()
        store = await SqliteStore.open(path, clock=clock)
        (claimed,) = (await store.claim("after", 1, 30.0)).records
        assert (claimed.worker, claimed.attempts) == ("after", 2)
        assert [(one.worker, one.outcome) for one in claimed.history] == [("before", "lost")]
        await store.close()

    async def test_work_of_the_service_before_that_had_no_attempt_left_ends_at_once(self, path, clock):
        store = await SqliteStore.open(path, clock=clock)
        await store.enqueue(record(clock, max_attempts=1))
        await store.claim("before", 1, 3600.0)
        await store.close()
        store = await SqliteStore.open(path, clock=clock)
        (ended,) = (await store.claim("after", 1, 30.0)).abandoned
        assert (ended.status, [one.worker for one in ended.history]) == (Status.FAILED, ["before"])
        await store.close()

    async def test_who_waited_longest_is_served_first_after_a_new_start(self, path, clock):
        store = await SqliteStore.open(path, clock=clock)
        for owner in ("c", "a", "b"):
            for n in range(2):
                await store.enqueue(record(clock, f"r{n}", owner=owner))
        await store.close()
        store = await SqliteStore.open(path, clock=clock)
        taken = (await store.claim("w", 6, 30.0)).records
        assert [one.owner for one in taken] == ["c", "a", "b", "c", "a", "b"]
        await store.close()

    async def test_a_clock_put_back_while_nobody_looked_holds_up_nothing(self, path, clock):
        store = await SqliteStore.open(path, clock=clock)
        await store.enqueue(record(clock, "retrying"))
        (claimed,) = (await store.claim("w", 1, 30.0)).records
        await store.fail(lease_of(claimed), seq=1, error=ErrorBody("BUSY", "later"), retry_at=clock.now() + 60)
        await store.enqueue(record(clock, "expiring", expires_at=clock.now() + 60))
        before = {one.id: one for one in await whole_records(store)}
        await store.close()
        clock.jump(-3600)
        store = await SqliteStore.open(path, clock=clock)
        after = {one.id: one for one in await whole_records(store)}
        assert after == {name: rebase_clock(one, clock.now()) for name, one in before.items()}
        assert after["retrying"].due_at == clock.now() + 60
        assert after["expiring"].expires_at == clock.now() + 60
        await store.close()

    @pytest.mark.parametrize("name", ["queue.db", "link.db"])
    async def test_a_second_service_on_it_is_refused_whatever_name_it_uses(self, store, path, name, monkeypatch):
        monkeypatch.setattr(writer_process, "LOCK_WAIT", 0.0)
        (path.parent / "link.db").symlink_to(path)
        with pytest.raises(StoreInUse) as refused:
            await SqliteStore.open(path.parent / name)
        assert str(path) in str(refused.value)
        assert str(os.getpid()) in str(refused.value)

    async def test_why_it_cannot_be_opened_comes_out_of_the_writers_process(self, path):
        open_database(path, create=True, migrations=[*MIGRATIONS, "SELECT 1"]).close()
        with pytest.raises(StoreTooNew, match="newer version"):
            await SqliteStore.open(path)
        with pytest.raises(StoreError, match="nowhere must exist"):
            await SqliteStore.open(path.parent / "nowhere" / "queue.db")

    async def test_the_log_beside_it_stays_small_however_much_is_written(self, store, path, clock):
        payload = b'"' + b"x" * 20_000 + b'"'
        for start in range(0, 1500, 50):
            writes = [
                store.enqueue(record(clock, f"r{n}", owner=f"client:{n}", payload=payload))
                for n in range(start, start + 50)
            ]
            await asyncio.gather(*writes)
        assert path.stat().st_size > 25_000_000
        assert path.with_name("queue.db-wal").stat().st_size < 8_000_000


class TestAnOperator:
    async def test_looks_and_changes_beside_the_service_which_is_told(self, store, path, clock):
        await store.enqueue(record(clock, "a"))
        await store.enqueue(record(clock, "b"))
        operator = await SqliteStore.open(path, clock=clock, operator=True)
        assert {one.id for one in (await operator.list()).requests} == {"a", "b"}
        await operator.cancel(("client:one", "a"))
        await operator.close()
        claims = await store.claim("w", 10, 30.0)
        assert ([one.id for one in claims.records], claims.changed_externally) == (["b"], True)
        assert not (await store.claim("w", 10, 30.0)).changed_externally

    async def test_takes_nothing_from_a_worker(self, store, path, clock):
        await store.enqueue(record(clock))
        (claimed,) = (await store.claim("w", 10, 30.0)).records
        operator = await SqliteStore.open(path, clock=clock, operator=True)
        assert await operator.get(claimed.key) == claimed
        assert (await store.claim("w", 10, 30.0)).records == []
        await operator.close()
        await store.complete(lease_of(claimed), seq=1, result=b"1")

    async def test_queues_again_what_is_then_claimed_and_counted(self, path, clock):
        store = await SqliteStore.open(path, clock=clock, max_queued=1)
        await store.enqueue(record(clock, "a"))
        await store.cancel(("client:one", "a"))
        assert (await store.claim("w", 10, 30.0)).records == []
        operator = await SqliteStore.open(path, clock=clock, operator=True)
        await operator.requeue(("client:one", "a"))
        await operator.close()
        with pytest.raises(Error, match="full"):
            await store.enqueue(record(clock, "b"))
        assert [one.id for one in (await store.claim("w", 10, 30.0)).records] == ["a"]
        await store.close()

    async def test_creates_nothing(self, path):
        with pytest.raises(StoreError, match="does not exist"):
            await SqliteStore.open(path, operator=True)
        assert list(path.parent.iterdir()) == []


@pytest.fixture
def disk_left(store):
    """Bounds the size that the writer's files may reach, as a disk does that is full."""
    before = resource.prlimit(store.writer_pid, resource.RLIMIT_FSIZE)

    def left(size):
        limit = before if size is None else (size, before[1])
        resource.prlimit(store.writer_pid, resource.RLIMIT_FSIZE, limit)

    return left


class TestTheDisk:
    async def test_a_full_one_fails_those_who_write_and_nobody_after(self, store, clock, disk_left):
        await store.enqueue(record(clock, "before"))
        writer = store.writer_pid
        large = b'"' + b"x" * 200_000 + b'"'
        disk_left(200_000)
        with pytest.raises(StoreUnavailable, match=r"queue\.db could not be written"):
            await store.enqueue(record(clock, "too-large", payload=large))
        assert await store.get(("client:one", "too-large")) is None
        disk_left(None)
        assert await store.enqueue(record(clock, "too-large", payload=large)) is None
        assert store.writer_pid == writer

    async def test_what_does_not_fit_does_not_fail_its_neighbours(self, store, clock, disk_left):
        large = b'"' + b"x" * 400_000 + b'"'
        disk_left(400_000)
        answers = await asyncio.gather(
            store.enqueue(record(clock, "a")),
            store.enqueue(record(clock, "large", payload=large)),
            store.enqueue(record(clock, "b")),
            return_exceptions=True,
        )
        disk_left(None)
        assert answers[0] is None
        assert isinstance(answers[1], StoreUnavailable)
        assert answers[2] is None
        assert (await store.counts())[Status.PENDING] == 2

    async def test_purging_much_goes_in_slices(self, store, clock):
        await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(1200)))
        await asyncio.gather(*(store.cancel(("client:one", f"r{n}")) for n in range(1200)))
        await clock.advance(10)
        assert await store.purge(clock.now()) == 1200
        assert (await store.list()).requests == []

    @pytest.mark.parametrize("time", [0.0, 1e9], ids=["a slow disk", "a fast disk"])
    async def test_a_slice_is_as_large_as_the_disk_is_fast(self, store, clock, monkeypatch, time):
        monkeypatch.setattr(store_module, "PURGE_TIME", time)
        for n in range(100):
            await store.enqueue(record(clock, f"r{n}", expires_at=clock.now()))
        await store.claim("w", 0, 30.0)
        await clock.advance(10)
        limits = []
        do = store._do
        monkeypatch.setattr(store, "_do", lambda name, *rest: (limits.append(rest[-1]), do(name, *rest))[1])
        assert await store.purge(clock.now()) == 100
        assert limits == ([16] * 8 if time == 0.0 else [16, 32, 64, 128])

    async def test_what_needs_all_requests_is_read_in_steps(self, path, clock, writer_program):
        writer_program(
            """
            from streamer.stores.sqlite import read_queries

            def main(channel):
                read_queries.SLICE_ROWS = 2
                writer.main(channel)
            """
        )
        store = await SqliteStore.open(path, clock=clock)
        for n in range(7):
            await store.enqueue(record(clock, "same" if n % 2 else f"r{n}", owner=f"o{n}"))
        await store.cancel(("o0", "r0"))
        counts = await store.counts()
        assert {status: count for status, count in counts.items() if count} == {"PENDING": 6, "CANCELLED": 1}
        assert [one.owner for one in await store.find("same")] == ["o1", "o3", "o5"]
        assert [one.owner for one in await store.find("same", 2)] == ["o1", "o3"]
        await store.close()


async def test_text_that_cannot_be_written_is_refused_to_its_own_caller_alone(store, clock):
    await store.enqueue(record(clock, "a"))
    (claimed,) = (await store.claim("w", 1, 30.0)).records
    answers = await asyncio.gather(
        store.enqueue(record(clock, "b")),
        store.update_progress(lease_of(claimed), seq=1, percentage=1, message="half a pair: \ud800"),
        store.enqueue(record(clock, "c")),
        return_exceptions=True,
    )
    assert answers[0] is None
    assert isinstance(answers[1], ValueError)
    assert answers[2] is None
