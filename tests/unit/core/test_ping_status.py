"""What `/ping` answers."""

import json

from streamer.core.ping_status import PingStatus
from streamer.testing import ManualClock


async def test_the_time_moves_only_when_the_status_does():
    clock, busy = ManualClock(now=100.0), False
    ping = PingStatus(lambda: busy, clock)
    assert json.loads(ping.answer()) == {"status": "Healthy", "time_of_last_update": 100}
    await clock.advance(5)
    assert json.loads(ping.answer()) == {"status": "Healthy", "time_of_last_update": 100}
    busy = True
    assert json.loads(ping.answer()) == {"status": "HealthyBusy", "time_of_last_update": 105}
    await clock.advance(5)
    assert json.loads(ping.answer()) == {"status": "HealthyBusy", "time_of_last_update": 105}
    busy = False
    assert json.loads(ping.answer()) == {"status": "Healthy", "time_of_last_update": 110}
