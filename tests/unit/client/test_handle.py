"""Promises of one request's handle, fed with messages by hand."""

from __future__ import annotations

import asyncio

import pytest

from streamer.client import Conflict, RequestHandle, StreamerClient
from streamer.client.messages import Inbound, progress_update


def progress(seq, percentage=1):
    return Inbound(type="progress", request_id="r", seq=seq, percentage=percentage)


def complete(seq, result="done"):
    return Inbound(type="complete", request_id="r", seq=seq, success=True, result=result)


def acknowledgment():
    return Inbound(type="acknowledgment", request_id="r", seq=0)


async def test_what_is_not_newer_by_seq_is_dropped_and_the_seq_of_an_unknown_type_counts(fake):
    async def script(service):
        request = await service.receive()
        await service.acknowledge(request)
        for seq, percentage in ((3, 30), (3, 31), (2, 20), (7, 70)):
            await service.progress(request, seq, percentage)
        await service.complete(request, 7, "stale")
        await service.say(type="later", request_id=request["id"], seq=8)
        await service.progress(request, 8, 80)
        await service.complete(request, 9, "done")

    async with StreamerClient(await fake(script)) as client:
        handle = await client.submit("do")
        assert [update.percentage async for update in handle] == [30, 70]
        assert await handle.result() == "done"
        assert handle.seq == 9


async def test_acknowledged_tells_a_queued_request_from_one_answered_at_once():
    queued, direct = RequestHandle("r"), RequestHandle("r")
    waits = asyncio.gather(queued.acknowledged(), direct.acknowledged())
    await asyncio.sleep(0)
    queued.receive(Inbound(type="acknowledgment", request_id="r"))
    direct.receive(Inbound(type="response", request_id="r", success=True, data=1))
    assert await waits == [True, False]


async def test_a_refused_request_is_not_acknowledged():
    handle = RequestHandle("r")
    handle.receive(Inbound(type="error", request_id="r", error={"code": "CONFLICT", "message": "other payload"}))
    with pytest.raises(Conflict):
        await handle.acknowledged()


async def test_a_request_that_failed_later_was_acknowledged():
    handle = RequestHandle("r")
    handle.receive(acknowledgment())
    handle.receive(Inbound(type="error", request_id="r", seq=1, error={"code": "CONFLICT", "message": "m"}))
    assert await handle.acknowledged()


async def test_progress_that_nobody_reads_is_bounded_and_keeps_the_newest():
    handle = RequestHandle("r")
    for seq in range(5000):
        handle.receive(progress(seq + 1, seq / 50))
    handle.receive(complete(6000))
    updates = [update.percentage async for update in handle]
    assert len(updates) == 1000
    assert updates[-1] == 4999 / 50


async def test_many_tasks_may_wait_on_one_handle_and_one_that_gives_up_disturbs_no_other():
    handle = RequestHandle("r")
    waits = [asyncio.create_task(handle.result()) for _ in range(3)]
    await asyncio.sleep(0)
    waits[0].cancel()
    await asyncio.sleep(0)
    waits[1].cancel()
    handle.receive(complete(1))
    assert await waits[2] == "done"
    assert all(
        isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*waits[:2], return_exceptions=True)
    )


async def test_the_handle_shows_where_it_is():
    handle = RequestHandle("r")
    shown = [repr(handle)]
    handle.receive(acknowledgment())
    shown.append(repr(handle))
    handle.receive(complete(1))
    shown.append(repr(handle))
    assert shown == [f"<RequestHandle 'r', {state}>" for state in ("sent", "queued", "ended")]


@pytest.mark.parametrize("percentage", [None, "50", float("nan")])
def test_odd_fields_of_progress_become_neutral_ones(percentage):
    update = progress_update(Inbound(percentage=percentage, message=5, metadata=[], timestamp="soon"))
    assert (update.percentage, update.message, update.metadata, update.timestamp) == (0.0, "", None, 0.0)
