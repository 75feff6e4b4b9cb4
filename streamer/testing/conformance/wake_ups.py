"""The suite of a store that wakes the workers of other processes.

Outside this project, in a plugin's own tests::

    import pytest
    from streamer.testing import WakeUpsConformance

    class TestMyWakeUps(WakeUpsConformance):
        @pytest.fixture
        async def open_queue(self, clock, database):
            async with AsyncExitStack() as stack:
                yield lambda: stack.enter_async_context(MyStore.open(database, clock=clock))

Each call of `open_queue` gives, awaited, what one more process has of the same store; it begins empty. The suite of
stores tests all else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from streamer.contracts.stores import WatchedQueue
from streamer.testing.clock import ManualClock, settle
from streamer.testing.conformance.records import LEASE, lease_of, record

WAIT: Final = 10.0
"""Seconds after which a wake-up counts as lost. A store may lose some, but not one after the other of a test's."""

Open = Callable[[], Awaitable[WatchedQueue]]


@asynccontextmanager
async def watching(queue: WatchedQueue) -> AsyncIterator[asyncio.Event]:
    """Watches. The event is set by each wake-up."""
    woken = asyncio.Event()
    task = asyncio.create_task(queue.watch(woken.set))
    await settle()
    try:
        yield woken
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), "a watch ends only when it is cancelled, or has failed"


async def wait_for(woken: asyncio.Event) -> None:
    """Waits for the next wake-up."""
    async with asyncio.timeout(WAIT):
        await woken.wait()
    woken.clear()


class WakeUpsConformance:
    """The promises of `WatchedQueue.watch`, one test each. Subclass it and add an `open_queue` fixture."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock that all processes must use."""
        return ManualClock()

    @pytest.fixture
    async def queue(self, open_queue: Open) -> WatchedQueue:
        """That of the process which watches."""
        return await open_queue()

    @pytest.fixture
    async def elsewhere(self, open_queue: Open) -> WatchedQueue:
        """That of another process."""
        return await open_queue()

    async def test_a_request_stored_by_another_process_wakes_the_watch(
        self, queue: WatchedQueue, elsewhere: WatchedQueue, clock: ManualClock
    ) -> None:
        async with watching(queue) as woken:
            for name in ("r1", "r2"):
                await elsewhere.enqueue(record(clock, name))
                await wait_for(woken)
                claims = await queue.claim("w1", 1, LEASE)
                assert [one.id for one in claims.records] == [name]

    async def test_a_request_released_by_another_process_wakes_the_watch(
        self, queue: WatchedQueue, elsewhere: WatchedQueue, clock: ManualClock
    ) -> None:
        await elsewhere.enqueue(record(clock))
        (claimed,) = (await elsewhere.claim("w2", 1, LEASE)).records
        async with watching(queue) as woken:
            await elsewhere.release([lease_of(claimed)])
            await wait_for(woken)
            assert len((await queue.claim("w1", 1, LEASE)).records) == 1

    async def test_a_requeued_request_wakes_the_watch(
        self, queue: WatchedQueue, elsewhere: WatchedQueue, clock: ManualClock
    ) -> None:
        await elsewhere.enqueue(record(clock))
        await elsewhere.cancel(("client:one", "r1"))
        async with watching(queue) as woken:
            await elsewhere.requeue(("client:one", "r1"))
            await wait_for(woken)
            assert len((await queue.claim("w1", 1, LEASE)).records) == 1

    async def test_a_watch_restarts_after_it_was_cancelled(
        self, queue: WatchedQueue, elsewhere: WatchedQueue, clock: ManualClock
    ) -> None:
        async with watching(queue):
            pass
        async with watching(queue) as woken:
            await elsewhere.enqueue(record(clock))
            await wait_for(woken)

    async def test_every_request_of_a_burst_is_claimed(
        self, queue: WatchedQueue, elsewhere: WatchedQueue, clock: ManualClock
    ) -> None:
        """Wake-ups may be merged, but one comes after the last request was stored."""
        claimed: set[str] = set()
        async with watching(queue) as woken:
            await asyncio.gather(*(elsewhere.enqueue(record(clock, f"r{number}")) for number in range(20)))
            while len(claimed) < 20:
                await wait_for(woken)
                while records := (await queue.claim("w1", 5, LEASE)).records:
                    claimed |= {one.id for one in records}
