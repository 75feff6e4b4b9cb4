"""What a queue over a storage adds to the storage, where the store suite does not look."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import LeaseLost, StoreClosed, StoreError, StoreUnavailable
from streamer.core.records import RequestRecord, Status
from streamer.core.transitions import Cancelled, advance
from streamer.queue import StorageQueue
from streamer.stores.memory import MemoryStorage, MemoryStore
from streamer.testing import ManualClock, StoreConformance
from streamer.testing.conformance import lease_of, record
from streamer.testing.conformance.records import BROKEN


class SlowStorage(MemoryStorage):
    """Counts its writes; each waits for a turn of the loop, as one to a disk or over a network does."""

    def __init__(self):
        super().__init__()
        self.batches = []
        self.problem = None

    async def wait(self, name, items):
        self.batches.append((name, len(items)))
        await asyncio.sleep(0)
        if self.problem is not None:
            problem, self.problem = self.problem, None
            raise problem

    async def insert(self, records, /):
        await self.wait("insert", records)
        return await super().insert(records)

    async def replace(self, changes, /):
        await self.wait("replace", changes)
        return await super().replace(changes)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def storage():
    return SlowStorage()


@pytest.fixture
async def queue(storage, clock):
    queue = StorageQueue(storage, clock=clock, max_queued=50)
    yield queue
    await queue.close()


class TestSlow(StoreConformance):
    @pytest.fixture
    async def store(self, clock):
        store = StorageQueue(SlowStorage(), clock=clock, max_queued=self.max_queued)
        yield store
        await store.close()


async def test_what_comes_while_the_storage_writes_is_one_batch(queue, storage, clock):
    await asyncio.gather(*(queue.enqueue(record(clock, f"r{n}")) for n in range(20)))
    assert storage.batches == [("insert", 20)]
    taken = (await queue.claim("w", 20, 30.0)).records
    storage.batches.clear()
    await asyncio.gather(*(queue.complete(lease_of(one), seq=1, result=b"1") for one in taken))
    assert storage.batches == [("replace", 20)]


async def test_writes_of_one_record_in_one_batch_build_on_each_other(queue, clock):
    await queue.enqueue(record(clock))
    (taken,) = (await queue.claim("w", 1, 30.0)).records
    lease = lease_of(taken)
    outcomes = await asyncio.gather(
        queue.update_progress(lease, seq=1, percentage=40, message="half"),
        queue.complete(lease, seq=2, result=b"1"),
        queue.fail(lease, seq=3, error=BROKEN),
        queue.mark_delivered([taken.key]),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [type(None), type(None), LeaseLost, type(None)]
    found = await queue.get(taken.key)
    assert (found.status, found.message, found.delivered_at) == (Status.COMPLETED, "half", clock.now())


async def test_one_batch_fills_the_queue_exactly(queue, clock):
    given = [record(clock, f"r{n}") for n in range(49)]
    again = [record(clock, f"r{n}") for n in range(3)]
    more = [record(clock, f"more{n}") for n in range(3)]
    answers = await asyncio.gather(*map(queue.enqueue, [*given, *again, *more]), return_exceptions=True)
    assert answers[:49] == [None] * 49
    assert [answer.same for answer in answers[49:52]] == [True] * 3
    assert [answer is None for answer in answers[52:]] == [True, False, False]
    assert (await queue.counts())[Status.PENDING] == 50


async def test_a_caller_that_gives_up_does_not_undo_what_others_write(queue, clock):
    first, second = (asyncio.create_task(queue.enqueue(record(clock, name))) for name in ("a", "b"))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert {one.id for one in (await queue.list()).requests} == {"a", "b"}


async def test_after_a_write_that_failed_the_storage_is_read_again(queue, storage, clock):
    await queue.enqueue(record(clock, "a"))
    storage.problem = StoreUnavailable("the network is gone")
    with pytest.raises(StoreUnavailable, match="network"):
        await queue.enqueue(record(clock, "b"))
    storage.problem = ValueError("a bug")
    with pytest.raises(StoreError, match="the storage failed: ValueError: a bug"):
        await queue.claim("w", 5, 30.0)
    assert [one.id for one in (await queue.claim("w", 5, 30.0)).records] == ["a"]


async def test_a_storage_that_has_closed_itself_has_failed(queue, storage, clock):
    failed = asyncio.ensure_future(queue.failed())
    storage.problem = StoreClosed("the disk is broken")
    with pytest.raises(StoreClosed, match="broken"):
        await queue.enqueue(record(clock))
    await failed


async def test_a_write_under_way_is_finished_before_the_storage_is_closed(queue, storage, clock):
    writing = asyncio.create_task(queue.enqueue(record(clock)))
    await asyncio.sleep(0)
    await queue.close()
    assert await writing is None
    with pytest.raises(StoreClosed):
        await queue.enqueue(record(clock, "more"))


async def test_callers_of_a_queue_that_was_stopped_do_not_wait_for_ever(queue, storage, clock):
    first = asyncio.create_task(queue.enqueue(record(clock, "a")))
    await asyncio.sleep(0)
    later = asyncio.create_task(queue.enqueue(record(clock, "b")))
    while not storage.batches:
        await asyncio.sleep(0)
    queue._writer.cancel()
    for waiting in (first, later):
        with pytest.raises(StoreUnavailable, match="stopped"):
            await waiting


class Contested(MemoryStorage):
    """Another process changes a record between look and write."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    async def replace(self, changes, /):
        if self.times:
            self.times -= 1
            row = self.rows[changes[0].record.key]
            cancelled = advance(row.record, Cancelled(row.record.updated_at, "by another"))
            self.put(row._replace(version=row.version + 1, record=cancelled))
        return await super().replace(changes)


async def test_a_record_that_was_changed_meanwhile_is_read_again(clock):
    queue = StorageQueue(Contested(1), clock=clock, immediate=True)
    await queue.enqueue(record(clock))
    with pytest.raises(Exception, match="already CANCELLED"):
        await queue.cancel(("client:one", "r1"))


async def test_of_a_batch_only_what_was_changed_meanwhile_is_read_again(clock):
    storage = Contested(0)
    queue = StorageQueue(storage, clock=clock)
    for name in ("a", "b"):
        await queue.enqueue(record(clock, name))
    taken = (await queue.claim("w", 2, 30.0)).records
    storage.times = 1
    lost = await queue.renew([lease_of(one) for one in taken], 60.0)
    assert [one.id for one in lost] == ["a"]
    await queue.close()


async def test_a_claim_leaves_what_another_took(clock):
    storage = Contested(0)
    queue = StorageQueue(storage, clock=clock, immediate=True)
    for name in ("a", "b"):
        await queue.enqueue(record(clock, name))
    storage.times = 1
    assert [one.id for one in (await queue.claim("w", 2, 30.0)).records] == ["b"]
    storage.remove([])
    assert (await queue.claim("w", 2, 30.0)).records == []


async def test_a_record_that_others_change_again_and_again_is_given_up(clock):
    class Stubborn(MemoryStorage):
        async def replace(self, changes, /):
            return [False] * len(changes)

    queue = StorageQueue(Stubborn(), clock=clock, immediate=True)
    await queue.enqueue(record(clock))
    with pytest.raises(StoreUnavailable, match="keeps changing"):
        await queue.cancel(("client:one", "r1"))


async def test_what_the_storage_lost_is_not_waited_for(clock):
    storage = MemoryStorage()
    queue = StorageQueue(storage, clock=clock, immediate=True)
    await queue.enqueue(record(clock, "a"))
    await queue.fail(lease_of((await queue.claim("w", 1, 30.0)).records[0]), seq=1, error=BROKEN, retry_at=9e9)
    await queue.enqueue(record(clock, "b", owner="client:two"))
    other = MemoryStorage()
    storage.__dict__.update(other.__dict__)
    assert (await queue.claim("w", 5, 30.0)).records == []
    assert (await queue.claim("w", 5, 30.0)).next_due is None


async def test_a_queue_begins_with_what_the_storage_has(clock):
    storage = MemoryStorage()
    first = StorageQueue(storage, clock=clock, immediate=True)
    for name in ("a0", "a1", "b0"):
        await first.enqueue(record(clock, name, owner=f"client:{name[0]}"))
    await first.claim("w1", 1, 30.0)
    second = StorageQueue(storage, clock=clock, max_queued=2, immediate=True)
    with pytest.raises(Exception, match="full"):
        await second.enqueue(record(clock, "more"))
    claims = await second.claim("w2", 9, 30.0)
    assert [one.id for one in claims.records] == ["a1", "b0"]
    assert claims.next_due == clock.now() + 30
    await clock.advance(30)
    assert {one.id for one in (await second.claim("w2", 9, 30.0)).records} == {"a0", "a1", "b0"}


async def test_a_clock_that_was_set_back_while_nothing_ran_is_noticed_at_the_start(clock):
    storage = MemoryStorage()
    first = StorageQueue(storage, clock=clock, immediate=True)
    await first.enqueue(record(clock))
    await first.claim("w1", 1, 30.0)
    clock.jump(-3600)
    second = StorageQueue(storage, clock=clock, immediate=True)
    assert (await second.claim("w2", 1, 30.0)).next_due == clock.now() + 30


async def test_it_is_noticed_too_when_nothing_ran(clock):
    storage = MemoryStorage()
    first = StorageQueue(storage, clock=clock, immediate=True)
    await first.enqueue(record(clock, expires_at=clock.now() + 5))
    clock.jump(-3600)
    second = StorageQueue(storage, clock=clock, immediate=True)
    assert (await second.claim("w2", 0, 30.0)).next_due == clock.now()
    assert (await second.get(("client:one", "r1"))).expires_at == clock.now() + 5


async def test_very_many_that_expired_end_in_slices_and_none_of_them_begins(clock):
    queue = MemoryStore(clock)
    for n in range(300):
        await queue.enqueue(record(clock, f"r{n}", expires_at=clock.now() + 1))
    await clock.advance(1)
    first = await queue.claim("w", 5, 30.0)
    assert (len(first.abandoned), first.records, first.next_due) == (256, [], clock.now())
    second = await queue.claim("w", 5, 30.0)
    assert (len(second.abandoned), second.records, second.next_due) == (44, [], None)


async def test_the_queue_remembers_lines_and_no_record_that_waits(clock):
    queue = MemoryStore(clock)
    for n in range(200):
        await queue.enqueue(record(clock, f"r{n}"))
    seen, left = set(), [queue._executor._overview]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        assert not isinstance(one, RequestRecord)
        if isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list | tuple | set):
            left += one
        elif hasattr(one, "__dict__"):
            left += vars(one).values()
    assert len(seen) < 100
