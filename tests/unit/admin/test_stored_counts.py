"""The store is not counted more often than it may."""

from streamer.admin.stored_counts import SHARE, StoredCounts
from streamer.core.errors import StoreUnavailable
from streamer.stores.memory import MemoryStore
from streamer.testing.clock import ManualClock, settle


class SlowStore(MemoryStore):
    def __init__(self, clock):
        super().__init__(clock)
        self.asked = 0
        self.takes = 0.0
        self.broken = False
        self.slept = clock.sleep

    async def counts(self):
        self.asked += 1
        await self.slept(self.takes)
        if self.broken:
            raise StoreUnavailable("down")
        return await super().counts()


async def test_it_counts_when_wanted_and_the_interval_has_passed():
    clock = ManualClock()
    store = SlowStore(clock)
    counts = StoredCounts(store, 15.0, clock)
    assert counts.newest is None
    for _ in range(10):
        counts.wanted()
    await settle()
    assert counts.newest == {
        "PENDING": 0, "PROCESSING": 0, "RETRYING": 0, "COMPLETED": 0, "FAILED": 0, "CANCELLED": 0,
    }  # fmt: skip
    await clock.advance(14.9)
    counts.wanted()
    await settle()
    assert store.asked == 1
    await clock.advance(0.1)
    counts.wanted()
    await settle()
    assert store.asked == 2
    await counts.close()


async def test_a_count_that_takes_long_is_rarer():
    clock = ManualClock()
    store = SlowStore(clock)
    store.takes = 2.0
    counts = StoredCounts(store, 15.0, clock)
    counts.wanted()
    await clock.advance(2)
    await clock.advance(2 * SHARE - 1)
    counts.wanted()
    await settle()
    assert store.asked == 1
    await clock.advance(1)
    counts.wanted()
    await settle()
    assert store.asked == 2
    await counts.close()
    await settle()


async def test_an_old_number_is_not_shown_while_the_store_does_not_answer():
    clock = ManualClock()
    store = SlowStore(clock)
    counts = StoredCounts(store, 15.0, clock)
    counts.wanted()
    await settle()
    store.broken = True
    await clock.advance(15)
    counts.wanted()
    await settle()
    assert counts.newest is None
