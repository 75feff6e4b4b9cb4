from __future__ import annotations

import asyncio

import pytest

from streamer.core.records import Status
from streamer.stores.sqlite import SqliteStore
from streamer.stores.sqlite.budget import ByteBudget
from streamer.testing.conformance import lease_of, record


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


class Taker:
    """Takes some of a budget until it is told to give it back."""

    def __init__(self, budget, size):
        self.has = False
        self.enough = asyncio.Event()
        self.task = asyncio.create_task(self._take(budget, size))

    async def _take(self, budget, size):
        async with budget.taken(size):
            self.has = True
            await self.enough.wait()


@pytest.fixture
async def takers():
    made = []

    async def take(budget, *sizes):
        new = [Taker(budget, size) for size in sizes]
        made.extend(new)
        await turns()
        return new

    yield take
    for taker in made:
        taker.task.cancel()
    await asyncio.gather(*(taker.task for taker in made), return_exceptions=True)


async def test_as_many_go_on_as_fit_and_the_others_wait_in_their_order(takers):
    budget = ByteBudget(10)
    first, second, large, small = await takers(budget, 4, 4, 6, 1)
    assert [one.has for one in (first, second, large, small)] == [True, True, False, False]
    first.enough.set()
    await turns()
    assert [one.has for one in (large, small)] == [True, False], "first come, first served: the small one waited behind"
    second.enough.set()
    await turns()
    assert small.has


async def test_more_than_there_is_goes_alone(takers):
    budget = ByteBudget(10)
    first, huge, next_one = await takers(budget, 1, 1000, 1)
    first.enough.set()
    await turns()
    assert (huge.has, next_one.has) == (True, False)
    huge.enough.set()
    await turns()
    assert next_one.has


async def test_who_gives_up_waiting_holds_up_nobody(takers):
    budget = ByteBudget(10)
    first, waiting, behind = await takers(budget, 8, 8, 2)
    waiting.task.cancel()
    await turns()
    assert behind.has
    first.enough.set()
    (again,) = await takers(budget, 8)
    assert again.has


async def test_who_is_cancelled_when_its_turn_comes_gives_it_on(takers):
    budget = ByteBudget(10)
    first, waiting, behind = await takers(budget, 10, 10, 10)
    first.enough.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.task.cancel()
    await turns()
    assert behind.has


async def test_large_records_are_read_one_after_the_other(path, clock, monkeypatch):
    store = await SqliteStore.open(path, clock=clock, max_reading=1 << 20)
    result = b'"' + b"x" * (900 << 10) + b'"'
    for n in range(5):
        await store.enqueue(record(clock, f"r{n}"))
        await store.complete(lease_of((await store.claim("w", 1, 30.0)).records[0]), seq=1, result=result)
    reading = most = 0
    ask = store._writer.ask

    def watched(kind, now, arguments, read=None):
        nonlocal reading, most
        answer = ask(kind, now, arguments, read)
        if arguments[-1] > 900 << 10:
            reading += 1
            most = max(most, reading)
            answer.add_done_callback(lambda _: ended())
        return answer

    def ended():
        nonlocal reading
        reading -= 1

    monkeypatch.setattr(store._writer, "ask", watched)
    found = await asyncio.gather(*(store.get(("client:one", f"r{n}")) for n in range(5)))
    assert {(one.status, len(one.result)) for one in found} == {(Status.COMPLETED, len(result))}
    assert most == 1
    await store.close()
