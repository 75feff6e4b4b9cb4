"""One attempt: whatever the handler does, its owner hears of it once, last, and in words that JSON can say."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import Error, StoreUnavailable
from streamer.core.messages import Result
from streamer.engine.attempt_states import StopReason

KEY = ("client:one", "r")


def seqs(peer):
    return [message["seq"] for message in peer.of("r")]


async def send(house, handler, **options):
    house.declare("work", handler, mode="async", **options)
    await house.start()
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    return peer


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (Error("ODD", "no such file: \udcff"), {"code": "ODD", "message": "no such file: ?"}),
        (Error("ODD", "odd", {"name": "\udcff"}), {"details": {}}),
        (Error("ODD", KeyError("x")), {"message": "'x'"}),
        (Error(404, "odd", retryable=0), {"code": "404", "retryable": False}),
    ],
    ids=["half a surrogate pair", "in the details", "an exception for a text", "a number for a code"],
)
async def test_an_error_that_json_cannot_say_is_stored_and_sent_all_the_same(house, error, body):
    async def work(request):
        raise error

    peer = await send(house, work)
    assert peer.kinds("r") == ["acknowledgment", "error"]
    told = peer.messages[-1]["error"]
    assert {name: told[name] for name in body} == body
    assert (await house.store.get(KEY)).status == "FAILED"


async def test_why_a_result_is_no_json_is_logged_with_the_request(house):
    async def work(request):
        return object()

    peer = await send(house, work)
    assert peer.messages[-1]["error"]["message"] == "The request could not be completed"
    ((_, event, context),) = house.logger.lines
    assert "not JSON" in event
    assert (context["request_id"], context["action"], context["attempt"]) == ("r", "work", 1)


async def test_a_result_with_an_error_that_is_none_fails(house):
    async def work(request):
        return Result(success=False, error="a mere text")

    peer = await send(house, work)
    assert peer.messages[-1]["error"]["code"] == "INTERNAL_ERROR"


async def test_a_result_of_a_class_of_its_own_is_a_result(house):
    class Report(Result):
        pages: int = 0

    async def work(request):
        return Report(data=[1], pages=3)

    peer = await send(house, work)
    assert peer.messages[-1]["result"] == [1]


async def test_a_report_made_after_the_handler_returned_does_not_overtake_the_outcome(house):
    reporters = []
    writing, may_write = asyncio.Event(), asyncio.Event()
    complete = house.store.complete

    async def slow(*args, **options):
        writing.set()
        await may_write.wait()
        await complete(*args, **options)

    house.store.complete = slow

    async def work(request):
        reporters.append(request.progress)
        request.progress.report(50)
        return 1

    peer = await send(house, work)
    await writing.wait()
    reporters[0].report(60, "a thread that was left behind")
    await house.clock.advance(1)
    may_write.set()
    await house.settle()
    assert peer.kinds("r") == ["acknowledgment", "progress", "complete"]
    assert seqs(peer) == sorted(seqs(peer))
    reporters[0].report(70)
    await house.clock.advance(1)
    assert peer.kinds("r")[-1] == "complete"


async def test_a_store_that_is_slow_to_save_progress_holds_up_nobody(house):
    saving, may_save = asyncio.Event(), asyncio.Event()
    save = house.store.update_progress

    async def slow(*args, **options):
        saving.set()
        await may_save.wait()
        await save(*args, **options)

    house.store.update_progress = slow

    async def work(request):
        await house.clock.sleep(2)
        request.progress.report(10)
        request.progress.report(90)
        return "done"

    peer = await send(house, work)
    other = house.peer("c2", "client:two")
    await house.clock.advance(2)
    await saving.wait()
    house.send(other, action="work", id="r")
    await house.settle()
    await house.clock.advance(2)
    for one in (peer, other):
        assert [message.get("percentage") for message in one.of("r")] == [None, 10, 90, None]
        assert seqs(one) == sorted(seqs(one))
    may_save.set()
    await house.settle()
    assert (await house.store.get(KEY)).status == "COMPLETED"


async def test_progress_metadata_that_nobody_can_write_is_left_out_and_ends_nothing(house):
    endless = []
    endless.append(endless)
    going = asyncio.Event()

    async def work(request):
        await house.clock.sleep(2)
        request.progress.report(10, thing=endless)
        await going.wait()
        return "done"

    peer = await send(house, work)
    house.router.disconnected(peer)
    await house.clock.advance(3)
    assert [event for level, event, _ in house.logger.lines if level == "error"] == ["progress metadata cannot be sent"]
    going.set()
    await house.settle()
    assert (await house.store.get(KEY)).status == "COMPLETED"


async def test_a_claim_lost_while_an_outcome_waits_for_the_store_ends_quietly(house):
    async def refuses(*_args, **_options):
        raise StoreUnavailable("its process has died")

    complete, house.store.complete = house.store.complete, refuses

    async def work(request):
        return "mine"

    peer = await send(house, work)
    assert peer.kinds("r") == ["acknowledgment"]
    await house.store.cancel(KEY)
    house.store.complete = complete
    await house.clock.advance(1)
    assert peer.messages[-1]["error"]["code"] == "CANCELLED"
    assert house.worker.running == {}


async def test_a_drain_that_meets_the_last_report_lets_the_outcome_be_written(house):
    sending, may_send = asyncio.Event(), asyncio.Event()

    async def work(request):
        request.progress.report(10)
        return "done"

    house.declare("work", work, mode="async")
    peer = house.peer()
    deliver = house.delivery.progress

    async def slow(key, message):
        sending.set()
        await may_send.wait()
        await deliver(key, message)

    house.delivery.progress = slow
    await house.start()
    house.send(peer, action="work", id="r")
    await sending.wait()
    (job,) = house.worker.running.values()
    job.stop(StopReason.RELEASE)
    may_send.set()
    await house.settle()
    assert peer.kinds("r") == ["acknowledgment", "progress", "complete"]
    assert (await house.store.get(KEY)).fence == 1


async def test_one_wake_up_is_one_look_at_the_queue(house):
    looks = []
    claim = house.store.claim

    async def counted(*args, **options):
        looks.append(args)
        await asyncio.sleep(0)
        return await claim(*args, **options)

    house.store.claim = counted
    await house.start()
    before = len(looks)
    house.worker.wake()
    await house.settle()
    assert len(looks) - before == 1


async def test_a_result_that_the_store_cannot_keep_ends_the_request_with_what_the_store_says(house):
    async def work(request):
        return "large"

    async def refuse(claim, /, *, seq, result, progress=None):
        raise Error("VALIDATION_ERROR", "too large", {"limit": 1})

    house.store.complete = refuse
    peer = await send(house, work)
    assert peer.kinds("r") == ["acknowledgment", "error"]
    assert peer.messages[-1]["error"]["message"] == "too large"
    assert (await house.store.get(KEY)).error.details == {"limit": 1}


async def test_an_outcome_is_not_written_again_and_again_to_a_closed_store(house):
    go = asyncio.Event()

    async def work(request):
        await go.wait()

    await send(house, work)
    await house.store.close()
    go.set()
    await house.settle()
    assert house.worker.running == {}
    assert "an outcome could not be stored; trying again" not in [event for _, event, _ in house.logger.lines]
