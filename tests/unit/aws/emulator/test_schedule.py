"""The schedule calls again and again, whatever comes of it."""

from __future__ import annotations

import asyncio

import pytest

from streamer.testing import ManualClock
from streamer_aws.emulator.bounded_waits import stop_all
from streamer_aws.emulator.functions import FunctionError, Throttled
from streamer_aws.emulator.schedule import run_schedule


@pytest.mark.parametrize("answer", [None, FunctionError("ValueError", "x"), Throttled("x")])
async def test_it_calls_every_minute(handlers, answer):
    handlers.answers["sweep"] = answer
    clock = ManualClock()
    task = asyncio.create_task(run_schedule("sweep", 60, invoke=handlers.invoke, region="eu-central-1", clock=clock))
    await clock.advance(59)
    assert handlers.events["sweep"] == []
    await clock.advance(121)
    assert len(handlers.events["sweep"]) == 3
    assert handlers.events["sweep"][0]["detail-type"] == "Scheduled Event"
    assert handlers.events["sweep"][0]["time"] == "2026-01-01T00:01:00Z"
    await stop_all([task])


async def test_a_call_that_takes_longer_delays_the_next(handlers):
    clock = ManualClock()

    async def slow(_event):
        await clock.sleep(90)

    handlers.answers["sweep"] = slow
    task = asyncio.create_task(run_schedule("sweep", 60, invoke=handlers.invoke, region="eu-central-1", clock=clock))
    await clock.advance(60)
    await clock.advance(89)
    assert len(handlers.events["sweep"]) == 1
    await clock.advance(1)
    assert len(handlers.events["sweep"]) == 2
    await stop_all([task])
