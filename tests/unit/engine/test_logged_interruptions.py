"""The access log says what became of a handler that was cancelled, and not only that it was."""

from __future__ import annotations

import asyncio

import pytest

from streamer.engine.attempt_states import StopReason
from streamer.engine.routes import RetryPolicy
from streamer.middlewares.access_log import AccessLog


@pytest.fixture
def log(house):
    return AccessLog(clock=house.clock, logger=house.logger)


def logged(house):
    return [context["outcome"] for _, event, context in house.logger.lines if event == "request"]


async def waits(_request):
    await asyncio.get_running_loop().create_future()


async def begin(house, log, mode="async", **options):
    house.declare("work", waits, mode=mode, middlewares=[log], **options)
    await house.start()
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    return peer


async def test_a_request_that_is_given_back_is_released(house, log):
    await begin(house, log)
    house.worker.pause()
    first = asyncio.create_task(house.worker.drain(1000.0))
    await house.settle()
    # As a second signal does it.
    first.cancel()
    second = asyncio.create_task(house.worker.drain(0.0))
    await house.settle()
    await second
    assert logged(house) == ["released"]
    assert (await house.store.get(("client:one", "r"))).status == "PENDING"


async def test_a_request_that_another_worker_took_over_is_lost(house, log):
    await begin(house, log)
    house.worker.running["client:one", "r"].stop(StopReason.LOST)
    await house.settle()
    assert logged(house) == ["lost"]


async def test_a_request_that_its_owner_cancelled_is_cancelled(house, log):
    peer = await begin(house, log)
    house.send(peer, action="streamer.cancel", id="c", payload={"request_id": "r"})
    await house.settle()
    assert logged(house) == ["CANCELLED"]


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_request_that_took_too_long_is_timed_out(house, log, mode):
    peer = await begin(house, log, mode, timeout=0.01, retry=RetryPolicy(max_attempts=1))
    async with asyncio.timeout(90):
        while not any(message["type"] == "error" for message in peer.messages):
            await asyncio.sleep(0.005)
    assert logged(house) == ["TIMEOUT"]


async def test_a_direct_request_that_a_shutdown_cut_off_is_what_its_client_is_told(house, log):
    peer = await begin(house, log, "sync")
    house.router.begin_drain()
    draining = asyncio.create_task(house.router.drain(0.0))
    await house.settle()
    await draining
    assert peer.of("r")[-1]["error"]["code"] == "OVERLOADED"
    assert logged(house) == ["OVERLOADED"]
