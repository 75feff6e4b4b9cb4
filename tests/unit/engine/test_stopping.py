"""Whatever handlers make of their cancellation, nobody waits for ever and nothing false is written."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from streamer.contracts.middleware import Middleware
from streamer.core.errors import Error
from streamer.engine.attempt_states import StopReason
from streamer.testing.conformance import lease_of


async def record(house, request_id="r"):
    return await house.store.get(("client:one", request_id))


@pytest.mark.parametrize(
    "made_of_it",
    [
        RuntimeError("interrupted"),
        Error("MINE", "interrupted"),
        Error("MINE", "interrupted", retryable=True),
        SystemExit(1),
    ],
    ids=["an exception", "an error", "a retryable error", "an exit"],
)
class TestACancellationThatBecomesAnError:
    @pytest.fixture
    async def running(self, house, made_of_it):
        async def work(request):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise made_of_it from None

        house.declare("work", work, mode="async")
        peer = house.peer()
        house.send(peer, action="work", id="r")
        await house.settle()
        await house.start()
        return peer

    async def test_of_a_drain_gives_the_request_back_to_the_queue(self, house, running):
        house.worker.pause()
        draining = asyncio.create_task(house.worker.drain(1))
        await house.clock.advance(1)
        assert await draining == 1
        given_back = await record(house)
        assert (given_back.status, given_back.attempts, given_back.error) == ("PENDING", 0, None)
        assert running.kinds("r") == ["acknowledgment"]

    async def test_of_a_lost_claim_writes_nothing_and_tells_what_ended_it(self, house, running):
        await house.store.cancel(("client:one", "r"))
        await house.clock.advance(10)
        assert (await record(house)).status == "CANCELLED"
        assert running.messages[-1]["error"]["code"] == "CANCELLED"
        assert house.worker.running == {}


async def test_a_result_in_spite_of_a_drain_is_a_result(house):
    async def work(request):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "what there is so far"

    house.declare("work", work, mode="async")
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    await house.start()
    house.worker.pause()
    draining = asyncio.create_task(house.worker.drain(1))
    await house.clock.advance(1)
    await draining
    assert peer.messages[-1]["result"] == "what there is so far"
    assert (await record(house)).status == "COMPLETED"


async def test_a_result_in_spite_of_a_lost_claim_is_refused(house):
    async def work(request):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "too late"

    house.declare("work", work, mode="async")
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    await house.start()
    # Another worker has ended it meanwhile.
    stood = await record(house)
    await house.store.complete(lease_of(stood), seq=stood.seq + 5, result=b'{"success":true,"result":1}')
    await house.clock.advance(10)
    assert [message.get("result") for message in peer.messages[1:]] == [1]
    assert (await record(house)).result == b'{"success":true,"result":1}'


async def test_a_stop_is_obeyed_once(house):
    seen = []

    async def work(request):
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")
            await asyncio.sleep(0)
            seen.append("tidied up")

    house.declare("work", work, mode="async")
    house.send(house.peer(), action="work", id="r")
    await house.settle()
    await house.start()
    (job,) = house.worker.running.values()
    job.stop(StopReason.RELEASE)
    await asyncio.sleep(0)
    job.stop(StopReason.LOST)
    await house.settle()
    assert seen == ["ended", "tidied up"]
    assert (await record(house)).status in ("PENDING", "PROCESSING")


async def test_a_direct_handler_that_swallows_its_cancellation_does_not_hold_the_drain_up(house):
    gate = asyncio.Event()

    async def stubborn(request):
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    house.declare("work", stubborn)
    peer = house.peer()
    house.send(peer, action="work", id="r")
    draining = asyncio.create_task(house.router.drain(1))
    await house.clock.advance(1)
    assert not draining.done()
    await house.clock.advance(5)
    await draining
    assert any("do not stop" in event for event in house.errors())
    gate.set()
    await house.settle()
    assert peer.kinds("r") == ["response"]


class Slow(Middleware):
    async def admit(self, request, next, /):
        await asyncio.Event().wait()


class Cancelling(Middleware):
    async def admit(self, request, next, /):
        raise asyncio.CancelledError


async def test_a_request_cut_off_before_it_was_stored_is_followed_by_nobody(house):
    async def work(request):
        raise AssertionError

    house.declare("work", work, mode="async", middlewares=[Slow()])
    peer = house.peer()
    house.send(peer, action="work", id="r")
    draining = asyncio.create_task(house.router.drain(0))
    await house.clock.advance(1)
    await draining
    assert [message["error"]["code"] for message in peer.messages] == ["OVERLOADED"]
    assert peer.running == 0
    assert house.delivery.subscribed_here() == set()
    assert await record(house) is None


@pytest.mark.parametrize(("mode", "immediate"), [("sync", True), ("sync", False), ("async", False)])
async def test_a_cancellation_from_within_is_an_unexpected_exception(house, mode, immediate):
    async def work(request):
        raise AssertionError

    house.declare("work", work, mode=mode, immediate=immediate, middlewares=[Cancelling()])
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    assert [message["error"]["code"] for message in peer.messages] == ["INTERNAL_ERROR"]
    assert peer.running == 0
    ((_, event, context),) = house.logger.lines
    assert "unexpected exception" in event
    assert context["request_id"] == "r"


async def test_an_exit_in_one_request_does_not_end_the_others(house):
    async def leave(request):
        raise SystemExit(3)

    for name, options in {"at once": {"immediate": True}, "task": {}, "queued": {"mode": "async"}}.items():
        house.declare(name.replace(" ", "."), leave, **options)
    await house.start()
    peer = house.peer()
    for action in ("at.once", "task", "queued"):
        house.send(peer, action=action, id=action)
    await house.settle()
    assert {message["error"]["code"] for message in peer.messages if message["type"] == "error"} == {"INTERNAL_ERROR"}
    assert [peer.kinds(action)[-1] for action in ("at.once", "task", "queued")] == ["error"] * 3
