from __future__ import annotations

import asyncio

import pytest

from streamer.contracts.handlers import HandlerWithProgress
from streamer.handlers.delay import DelayHandler


async def test_it_waits_once_without_progress(request_of, clock, recorder):
    result = await DelayHandler(0.3, clock=clock).process(request_of())
    assert clock.slept == [0.3]
    assert result.data == {"message": "Operation completed", "duration": "300ms"}
    assert recorder.reports == []


async def test_it_waits_in_ten_steps_with_progress(request_of, clock, recorder):
    handler = DelayHandler(5, clock=clock)
    assert isinstance(handler, HandlerWithProgress)
    result = await handler.process_with_progress(request_of(), recorder)
    assert clock.slept == [0.5] * 10
    assert recorder.reports[0] == (10.0, "Step 1 of 10 completed", {})
    assert [percentage for percentage, _, _ in recorder.reports] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert result.data == {"message": "Operation completed with progress", "duration": "5s", "steps": 10}


def test_its_estimate_is_its_delay():
    assert DelayHandler(2.5).estimated_duration() == 2.5


async def test_it_can_be_cancelled(request_of):
    task = asyncio.ensure_future(DelayHandler(3600).process(request_of()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
