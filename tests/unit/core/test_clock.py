from __future__ import annotations

import time

from streamer.core.clock import SystemClock, timestamp


def test_timestamps_are_utc_with_milliseconds():
    assert timestamp(1_767_268_800.0) == "2026-01-01T12:00:00.000Z"
    assert timestamp(1_767_268_800.12345) == "2026-01-01T12:00:00.123Z"


async def test_the_systems_clock_is_the_machines():
    clock = SystemClock()
    before = time.monotonic()
    await clock.sleep(0)
    assert before <= clock.monotonic() <= time.monotonic()
    assert abs(clock.now() - time.time()) < 60
