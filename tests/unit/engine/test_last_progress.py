"""What an owner was sent last is what is stored, however the attempt ends; and reports are sent until the very end."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from streamer.core.errors import Error
from streamer.engine.routes import RetryPolicy

KEY = ("client:one", "r")


@pytest_asyncio.fixture
async def steps(house):
    """A handler that reports when the test says so, and ends as it says."""
    ends = asyncio.get_running_loop().create_future()

    async def work(request):
        request.progress.report(40, "Reading", page=1)
        await asyncio.sleep(0)
        request.progress.report(80, "Writing PDF", page=9)
        return await ends

    house.declare("work", work, mode="async", retry=RetryPolicy(initial=5.0))
    return ends


async def begin(house):
    await house.start()
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    return peer


async def stored(house):
    record = await house.store.get(KEY)
    return record.status.value, record.percentage, record.message, record.progress_metadata


async def test_of_a_completed_request(house, steps):
    peer = await begin(house)
    steps.set_result("done")
    await house.settle()
    assert await stored(house) == ("COMPLETED", 100, "Writing PDF", b'{"page":9}')
    assert peer.of("r")[-2]["message"] == "Writing PDF"


@pytest.mark.parametrize(("retryable", "status"), [(True, "RETRYING"), (False, "FAILED")])
async def test_of_an_attempt_that_failed(house, steps, retryable, status):
    await begin(house)
    steps.set_exception(Error("BROKEN", "broken", retryable=retryable))
    await house.settle()
    assert await stored(house) == (status, 80, "Writing PDF", b'{"page":9}')


async def test_of_a_request_that_its_owner_cancelled(house, steps):
    peer = await begin(house)
    house.send(peer, action="streamer.cancel", id="c", payload={"request_id": "r"})
    await house.settle()
    assert await stored(house) == ("CANCELLED", 80, "Writing PDF", b'{"page":9}')


async def test_of_a_request_that_was_given_back_to_the_queue(house, steps):
    await begin(house)
    house.worker.pause()
    draining = asyncio.create_task(house.worker.drain(0.0))
    await house.settle()
    await draining
    assert await stored(house) == ("PENDING", 80, "Writing PDF", b'{"page":9}')


async def test_of_a_handler_that_reports_nothing_nothing_is_written(house):
    async def work(_request):
        return "done"

    house.declare("work", work, mode="async")
    await begin(house)
    assert await stored(house) == ("COMPLETED", 100, "", b"")


async def test_progress_goes_on_and_leases_are_renewed_while_the_worker_drains(house):
    goes_on = asyncio.Event()

    async def work(request):
        await goes_on.wait()
        request.progress.report(50, "still at it")
        await asyncio.get_running_loop().create_future()

    house.declare("work", work, mode="async")
    peer = await begin(house)
    house.worker.pause()
    draining = asyncio.create_task(house.worker.drain(1000.0))
    await house.settle()
    due_at = (await house.store.get(KEY)).due_at
    goes_on.set()
    await house.clock.advance(20)
    assert peer.of("r")[-1]["message"] == "still at it"
    assert (await house.store.get(KEY)).due_at > due_at
    draining.cancel()
