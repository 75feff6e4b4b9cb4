"""The event loop's pulse."""

import asyncio

from streamer.admin.counters import SHORT, Histogram
from streamer.admin.heartbeat import Heartbeat
from streamer.testing.clock import ManualClock


class LateClock(ManualClock):
    """Each sleep takes longer by as much as the test says."""

    late = 0.0

    async def sleep(self, seconds):
        await super().sleep(seconds + self.late)


async def test_it_is_alive_as_long_as_it_beats():
    clock, lag = LateClock(), Histogram(SHORT)
    heartbeat = Heartbeat(clock, lag)
    beating = asyncio.create_task(heartbeat.run())
    await clock.advance(60)
    assert heartbeat.alive
    assert lag.counts[0] == sum(lag.counts) == 120
    clock.late = 6.0
    await clock.advance(0.5)
    await clock.advance(4.9)
    assert heartbeat.alive
    await clock.advance(0.2)
    assert not heartbeat.alive
    assert 5 < heartbeat.silence < 6
    await clock.advance(2)
    assert heartbeat.alive
    assert round(lag.sum, 3) == 6.0
    beating.cancel()
