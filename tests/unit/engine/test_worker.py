"""Claim, run, record, tell: and what happens when any of it goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading

import pytest

from streamer.contracts.handlers import BaseHandler
from streamer.core.errors import Error, LeaseLost, StoreUnavailable
from streamer.core.messages import Result
from streamer.core.records import SEQ_STRIDE
from streamer.engine.attempt_states import StopReason

KEY = ("client:one", "r")


async def ok(request):
    return {"attempt": request.attempt}


async def submit(house, action="work", **message):
    assert house.worker
    peer = house.peer()
    house.send(peer, action=action, id="r", **message)
    await house.settle()
    return peer


async def record(house):
    return await house.store.get(KEY)


async def test_a_step_claims_what_fits_and_runs_it(make_house):
    house = make_house(concurrency=2)
    house.declare("work", ok, mode="async")
    assert house.worker
    peer = house.peer()
    for number in range(3):
        house.send(peer, action="work", id=f"r{number}")
    await house.settle()
    assert await house.worker.step() == 2
    await house.settle()
    assert [message["type"] for message in peer.messages].count("complete") == 2
    assert await house.worker.step() == 1
    await house.settle()
    await house.stop()


async def test_the_handler_sees_the_request_as_it_was_sent(house):
    seen = []

    async def look(request):
        seen.append(request)

    house.declare("work", look, mode="async")
    await submit(house, payload={"n": 1}, metadata={"k": "v"})
    await house.worker.step()
    await house.settle()
    (request,) = seen
    assert (request.id, request.payload, request.metadata) == ("r", {"n": 1}, {"k": "v"})
    assert (request.owner, request.connection_id, request.attempt, request.queued) == ("client:one", "c1", 1, True)


async def test_an_outcome_is_written_before_it_is_told(house):
    house.declare("work", ok, mode="async")
    peer = await submit(house)
    complete = house.store.complete
    gate = asyncio.get_running_loop().create_future()

    async def slow(*arguments, **options):
        await gate
        await complete(*arguments, **options)

    house.store.complete = slow
    await house.start()
    assert peer.kinds("r") == ["acknowledgment"]
    gate.set_result(None)
    await house.settle()
    assert peer.kinds("r") == ["acknowledgment", "complete"]


async def test_an_outcome_that_the_store_refuses_is_written_later_and_not_lost(house):
    house.declare("work", ok, mode="async")
    peer = await submit(house)
    complete = house.store.complete
    refusals = 3

    async def refusing(*arguments, **options):
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise StoreUnavailable("the disk is full")
        await complete(*arguments, **options)

    house.store.complete = refusing
    await house.start()
    assert peer.kinds("r") == ["acknowledgment"]
    await house.clock.advance(5)
    assert peer.kinds("r") == ["acknowledgment", "complete"]
    assert len([event for event in house.errors() if "trying again" in event]) == 1, "once a second is enough"


async def test_a_retryable_error_is_attempted_again_with_growing_waits(house):
    attempts = []

    async def fails(request):
        attempts.append((house.clock.now(), request.attempt))
        raise Error("BUSY", "busy", retryable=True)

    route = house.declare("work", fails, mode="async")
    peer = await submit(house)
    start = house.clock.now()
    await house.start()
    for _ in range(40):
        await house.clock.advance(0.25)
    assert [attempt for _, attempt in attempts] == [1, 2, 3]
    waits = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(attempts)]
    for number, wait in enumerate(waits):
        bare = route.retry.initial * route.retry.factor**number
        assert bare * 0.8 <= wait <= bare * 1.2 + 0.01
    assert attempts[0][0] == start
    assert peer.kinds("r") == ["acknowledgment", "error"]
    assert peer.messages[-1]["error"]["code"] == "BUSY"
    assert peer.messages[-1]["seq"] > 2 * SEQ_STRIDE


async def test_only_retryable_decides_never_the_words(house):
    runs = []

    async def fails(request):
        runs.append(request.attempt)
        raise Error("TIMEOUT", "timeout, please retry, temporary", retryable=False)

    house.declare("work", fails, mode="async")
    peer = await submit(house)
    await house.start()
    await house.clock.advance(100)
    assert runs == [1]
    assert peer.kinds("r") == ["acknowledgment", "error"]


async def test_an_unexpected_exception_is_not_attempted_again_and_stays_in_the_log(house):
    async def breaks(request):
        raise ZeroDivisionError("secret")

    house.declare("work", breaks, mode="async")
    peer = await submit(house)
    await house.start()
    assert "secret" not in str(peer.messages)
    assert peer.messages[-1]["error"]["code"] == "INTERNAL_ERROR"
    context = next(context for _, event, context in house.logger.lines if "unexpected" in event)
    assert (context["request_id"], context["attempt"]) == ("r", 1)


async def test_a_handler_that_takes_too_long_times_out_and_is_attempted_again(house):
    runs = []

    async def waits(request):
        runs.append(request.attempt)
        if request.attempt == 1:
            await asyncio.Event().wait()
        return "second"

    house.declare("work", waits, mode="async", timeout=0.01)
    peer = await submit(house)
    await house.start()
    while (await record(house)).status != "RETRYING":
        await asyncio.sleep(0)
    assert (await record(house)).error.code == "TIMEOUT"
    for _ in range(8):
        await house.clock.advance(0.25)
    assert runs == [1, 2]
    assert peer.messages[-1]["result"] == "second"


async def test_a_timeout_error_of_the_handlers_own_is_an_unexpected_exception(house):
    async def own(request):
        raise TimeoutError

    house.declare("work", own, mode="async", timeout=100)
    peer = await submit(house)
    await house.start()
    assert peer.messages[-1]["error"]["code"] == "INTERNAL_ERROR"


async def test_a_handler_cancelled_from_within_fails_instead_of_running_for_ever(house):
    async def strange(request):
        raise asyncio.CancelledError

    house.declare("work", strange, mode="async")
    peer = await submit(house)
    await house.start()
    assert peer.messages[-1]["error"]["code"] == "INTERNAL_ERROR"


@pytest.mark.parametrize("bad", [object(), {1: {2, 3}}, {"x": object()}])
async def test_a_result_that_is_not_json_fails_the_request(house, bad):
    async def strange(request):
        return object()

    house.declare("work", strange, mode="async")
    peer = await submit(house)
    await house.start()
    assert peer.messages[-1]["error"]["code"] == "INTERNAL_ERROR"
    assert (await record(house)).status == "FAILED"


async def test_details_that_are_not_json_do_not_lose_the_outcome(house):
    async def fails(request):
        raise Error("ODD", "odd", {"thing": object()})

    house.declare("work", fails, mode="async")
    peer = await submit(house)
    await house.start()
    assert peer.messages[-1]["error"] == {"code": "ODD", "message": "odd", "details": {}, "retryable": False}


async def test_a_result_that_breaks_its_schema_fails_the_request(house):
    house.declare("work", ok, mode="async", result_schema={"type": "integer"})
    peer = await submit(house)
    await house.start()
    assert peer.messages[-1]["error"]["code"] == "INTERNAL_ERROR"


async def test_success_false_is_a_completed_request(house):
    async def half(request):
        return Result(success=False, data=1, error=Error("HALF", "half"), metadata={"m": 1})

    house.declare("work", half, mode="async")
    peer = await submit(house)
    await house.start()
    last = peer.messages[-1]
    assert (last["type"], last["success"], last["result"], last["metadata"]) == ("complete", False, 1, {"m": 1})
    assert last["error"]["code"] == "HALF"


async def test_an_action_that_is_no_longer_declared_fails_with_its_name(house):
    house.declare("work", ok, mode="async")
    peer = await submit(house)
    del house.router.routes["work"]
    await house.start()
    assert peer.messages[-1]["error"]["code"] == "INVALID_ACTION"
    assert "work" in peer.messages[-1]["error"]["message"]


class TestLeases:
    async def test_a_lease_is_renewed_while_the_handler_lives(self, house):
        gate = asyncio.get_running_loop().create_future()

        async def waits(request):
            return await gate

        house.declare("work", waits, mode="async")
        peer = await submit(house)
        await house.start()
        for _ in range(20):
            await house.clock.advance(5)
        running = await record(house)
        assert (running.status, running.fence) == ("PROCESSING", 1)
        assert running.due_at > house.clock.now() + 15
        gate.set_result(1)
        await house.settle()
        assert peer.kinds("r")[-1] == "complete"

    async def test_a_handler_whose_claim_was_lost_is_cancelled_and_writes_nothing(self, house):
        stopped = []

        async def waits(request):
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(request.attempt)

        house.declare("work", waits, mode="async")
        peer = await submit(house)
        await house.start()
        await house.store.cancel(KEY, "enough")
        await house.clock.advance(10)
        assert stopped == [1]
        assert peer.kinds("r") == ["acknowledgment", "error"]
        assert peer.messages[-1]["error"]["code"] == "CANCELLED"
        assert (await record(house)).status == "CANCELLED"

    async def test_a_late_outcome_is_refused_and_the_newer_run_stands(self, house):
        gate = asyncio.get_running_loop().create_future()

        async def waits(request):
            return await gate

        house.declare("work", waits, mode="async")
        peer = await submit(house)
        await house.worker.step()
        await house.settle()
        await house.clock.advance(31)
        (taken,) = (await house.store.claim("other", 1, 30)).records
        gate.set_result("late")
        await house.settle()
        assert await record(house) == taken
        assert peer.kinds("r") == ["acknowledgment"]

    async def test_a_worker_that_stood_still_longer_than_its_lease_keeps_what_it_runs(self, house):
        gate = asyncio.get_running_loop().create_future()

        async def waits(request):
            return await gate

        house.declare("work", waits, mode="async")
        peer = await submit(house)
        await house.worker.step()
        await house.settle()
        await house.clock.advance(31)
        assert await house.worker.step() == 0
        gate.set_result("done")
        await house.settle()
        assert peer.kinds("r") == ["acknowledgment", "complete"]
        assert (await record(house)).attempts == 1

    async def test_a_claim_that_came_back_to_the_same_worker_stops_the_older_run(self, house):
        stopped = []

        async def waits(request):
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(request.attempt)

        house.declare("work", waits, mode="async")
        await submit(house)
        await house.worker.step()
        await house.settle()
        await house.clock.advance(31)
        await house.store.claim("another", 1, 30)
        await house.clock.advance(31)
        assert await house.worker.step() == 1
        await house.settle()
        assert stopped == [1]
        assert house.worker.running[KEY].record.attempts == 3

    async def test_a_store_that_does_not_answer_is_asked_again(self, house):
        gate = asyncio.get_running_loop().create_future()

        async def waits(request):
            return await gate

        house.declare("work", waits, mode="async")
        peer = await submit(house)
        await house.start()
        renew, claim = house.store.renew, house.store.claim

        async def broken(*_arguments, **_options):
            raise StoreUnavailable("gone")

        house.store.renew = house.store.claim = broken
        await house.clock.advance(11)
        house.store.renew, house.store.claim = renew, claim
        assert len([event for event in house.errors() if "leases could not be renewed" in event]) == 1
        assert [event for event in house.errors() if "queue cannot be read" in event]
        gate.set_result(1)
        await house.settle()
        assert peer.kinds("r")[-1] == "complete"

    async def test_a_request_whose_worker_died_in_its_last_attempt_ends_and_its_owner_is_told(self, house):
        house.declare("work", ok, mode="async")
        peer = await submit(house)
        for _ in range(3):
            await house.store.claim("dead", 1, 30)
            await house.clock.advance(30)
        await house.start()
        assert peer.kinds("r") == ["acknowledgment", "error"]
        assert peer.messages[-1]["error"]["details"] == {"attempts": 3}
        assert "request ended without a result" in house.errors()

    async def test_a_lost_claim_is_left_alone_when_the_store_cannot_be_asked(self, house):
        async def waits(request):
            await asyncio.Event().wait()

        house.declare("work", waits, mode="async")
        peer = await submit(house)
        await house.start()

        async def broken(_key):
            raise StoreUnavailable("gone")

        house.store.get = broken
        house.worker.running[KEY].stop(StopReason.LOST)
        await house.settle()
        assert peer.kinds("r") == ["acknowledgment"]
        assert house.worker.running == {}


class TestConcurrency:
    async def test_an_actions_own_limit_holds_and_others_go_on(self, house):
        gate = asyncio.get_running_loop().create_future()

        async def waits(request):
            await asyncio.shield(gate)

        house.declare("slow", waits, mode="async", concurrency=2)
        house.declare("quick", ok, mode="async")
        assert house.worker
        peer = house.peer()
        for number in range(4):
            house.send(peer, action="slow", id=f"s{number}")
        house.send(peer, action="quick", id="q")
        await house.settle()
        await house.start()
        assert sorted(key[1] for key in house.worker.running) == ["s0", "s1"]
        assert peer.kinds("q") == ["acknowledgment", "complete"]
        gate.set_result(None)
        await house.settle()
        assert [peer.kinds(f"s{number}")[-1] for number in range(4)] == ["complete"] * 4

    async def test_the_worker_takes_no_more_than_its_own_limit(self, make_house):
        house = make_house(concurrency=3)
        gate = asyncio.get_running_loop().create_future()

        async def waits(request):
            await asyncio.shield(gate)

        house.declare("work", waits, mode="async")
        assert house.worker
        peer = house.peer()
        for number in range(7):
            house.send(peer, action="work", id=f"r{number}")
        await house.settle()
        await house.start()
        await house.clock.advance(5)
        assert len(house.worker.running) == 3
        gate.set_result(None)
        await house.settle()
        assert [message["type"] for message in peer.messages].count("complete") == 7
        await house.stop()

    async def test_what_falls_due_wakes_the_worker(self, make_house):
        house = make_house(poll_interval=3600.0)
        runs = []

        async def fails_once(request):
            runs.append(house.clock.now())
            if len(runs) == 1:
                raise Error("BUSY", "busy", retryable=True)

        house.declare("work", fails_once, mode="async")
        await submit(house)
        await house.start()
        await house.clock.advance(3)
        assert len(runs) == 2
        await house.stop()


class TestOperators:
    async def test_followers_hear_of_what_somebody_else_did_to_the_queue(self, make_house):
        house = make_house(concurrency=1)

        async def waits(request):
            await asyncio.Event().wait()

        house.declare("work", waits, mode="async")
        assert house.worker
        peer = house.peer()
        house.send(peer, action="work", id="running")
        house.send(peer, action="work", id="waiting")
        house.send(peer, action="work", id="untouched")
        await house.settle()
        await house.start()
        for name in ("running", "waiting"):
            await house.store.cancel(("client:one", name))
        claim = house.store.claim

        async def foreign(*arguments, **options):
            return (await claim(*arguments, **options))._replace(changed_externally=True)

        house.store.claim = foreign
        await house.clock.advance(1.5)
        assert peer.kinds("running")[-1] == "error"
        assert peer.kinds("waiting")[-1] == "error"
        assert peer.kinds("untouched") == ["acknowledgment"]

        async def broken(_key):
            raise StoreUnavailable("gone")

        house.store.get = broken
        house.send(peer, action="work", id="more")
        await house.clock.advance(3)
        assert "a request could not be read" in house.errors()
        await house.stop()


class TestProgress:
    async def test_reports_are_thinned_but_the_first_and_the_last_go_out(self, house):
        async def reports(request):
            for percentage in range(101):
                request.progress.report(percentage, f"at {percentage}", n=percentage)
            return "done"

        house.declare("work", reports, mode="async")
        peer = await submit(house)
        await house.start()
        progress = [message for message in peer.messages if message["type"] == "progress"]
        assert [one["percentage"] for one in progress] == [0, 100]
        assert progress[0]["metadata"] == {"n": 0}
        assert peer.kinds("r") == ["acknowledgment", "progress", "progress", "complete"]
        assert [message["seq"] for message in peer.messages] == [0, 1, 2, 3]

    async def test_at_most_one_report_per_interval_goes_out_and_it_is_the_newest(self, house):
        step = [asyncio.Event() for _ in range(4)]

        async def reports(request):
            for number, event in enumerate(step):
                await event.wait()
                request.progress.report(number * 10)
                request.progress.report(number * 10 + 5)

        house.declare("work", reports, mode="async")
        peer = await submit(house)
        await house.start()
        for event in step:
            event.set()
            await house.clock.advance(0.1)
        percentages = [one["percentage"] for one in peer.messages if one["type"] == "progress"]
        assert percentages == [0, 5, 15, 25, 35]

    async def test_percentages_are_clamped_and_never_fall(self, house):
        async def reports(request):
            for value in (-5, 50, 20, float("nan"), 400):
                request.progress.report(value)
                reported.append(request.progress.latest.percentage)

        reported = []
        house.declare("work", reports, mode="async")
        await submit(house)
        await house.start()
        assert reported == [0, 50, 50, 50, 100]

    async def test_set_metadata_goes_out_with_every_later_report(self, house):
        async def reports(request):
            request.progress.set_metadata("batch", 7)
            request.progress.report(10, rows=1)

        house.declare("work", reports, mode="async")
        peer = await submit(house)
        await house.start()
        assert peer.messages[1]["metadata"] == {"batch": 7, "rows": 1}

    async def test_metadata_that_is_not_json_is_left_out_and_logged(self, house):
        async def reports(request):
            request.progress.report(10, "here", thing=object())

        house.declare("work", reports, mode="async")
        peer = await submit(house)
        await house.start()
        assert peer.messages[1]["message"] == "here"
        assert "metadata" not in peer.messages[1]
        assert "progress metadata cannot be sent" in house.errors()

    async def test_progress_comes_from_threads(self, house):
        async def threads(request):
            await asyncio.to_thread(lambda: [request.progress.report(n) for n in range(1000)])
            await asyncio.to_thread(request.progress.report, 99)

        house.declare("work", threads, mode="async")
        peer = await submit(house)
        await house.start()
        while peer.kinds("r")[-1] != "complete":
            await asyncio.sleep(0)
        percentages = [one["percentage"] for one in peer.messages if one["type"] == "progress"]
        assert percentages[0] == 0
        assert percentages[-1] == 100
        assert percentages == sorted(percentages)

    async def test_a_report_from_a_thread_wakes_the_loop(self, house):
        reported = threading.Event()

        async def works(request):
            def report():
                request.progress.report(40)
                reported.set()

            threading.Thread(target=report).start()
            await asyncio.Event().wait()

        house.declare("work", works, mode="async")
        peer = await submit(house)
        await house.start()
        await asyncio.to_thread(reported.wait)
        while peer.kinds("r")[-1] != "progress":
            await asyncio.sleep(0)
        assert peer.messages[-1]["percentage"] == 40

    async def test_a_handler_with_progress_of_its_own_method_is_given_the_reporter(self, house):
        class Both(BaseHandler):
            async def process(self, request):
                return "without"

            async def process_with_progress(self, request, reporter):
                reporter.report(50)
                return "with"

        house.declare("queued", Both(), mode="async")
        house.declare("direct", Both(), mode="sync")
        peer = await submit(house, "queued")
        house.send(peer, action="direct", id="d")
        await house.start()
        assert peer.of("d")[0]["data"] == "without"
        assert peer.messages[-1]["result"] == "with"

    async def test_progress_is_saved_now_and_then_for_whoever_asks_after_a_crash(self, house):
        gate = asyncio.Event()

        async def works(request):
            for percentage in range(1, 50):
                request.progress.report(percentage, "on the way", rows=percentage)
                await house.clock.sleep(0.1)
            await gate.wait()

        house.declare("work", works, mode="async")
        await submit(house)
        await house.start()
        writes = []
        update = house.store.update_progress

        async def counted(*arguments, **options):
            writes.append(options["percentage"])
            await update(*arguments, **options)

        house.store.update_progress = counted
        for _ in range(50):
            await house.clock.advance(0.1)
        assert 3 <= len(writes) <= 5
        saved = await record(house)
        assert saved.percentage == writes[-1]
        assert saved.progress_metadata == b'{"rows":%d}' % writes[-1]

    @pytest.mark.parametrize("problem", [StoreUnavailable("gone"), LeaseLost("lost")])
    async def test_progress_that_cannot_be_saved_harms_nothing_but_a_lost_claim(self, house, problem):
        ended = []

        async def works(request):
            try:
                for percentage in range(30):
                    request.progress.report(percentage)
                    await house.clock.sleep(0.1)
            finally:
                ended.append(True)

        house.declare("work", works, mode="async")
        peer = await submit(house)
        await house.start()

        async def broken(*_arguments, **_options):
            raise problem

        house.store.update_progress = broken
        for _ in range(15):
            await house.clock.advance(0.1)
        assert bool(ended) == isinstance(problem, LeaseLost)
        for _ in range(20):
            await house.clock.advance(0.1)
        assert (peer.kinds("r")[-1] == "complete") == isinstance(problem, StoreUnavailable)


class TestDraining:
    async def test_what_runs_may_finish(self, house):
        gate = asyncio.get_running_loop().create_future()

        async def waits(request):
            return await gate

        house.declare("work", waits, mode="async")
        peer = await submit(house)
        await house.start()
        house.worker.pause()
        draining = asyncio.create_task(house.worker.drain(30))
        await house.clock.advance(5)
        gate.set_result("finished")
        await house.settle()
        assert await draining == 0
        assert peer.messages[-1]["result"] == "finished"

    async def test_what_does_not_finish_goes_back_and_its_attempt_does_not_count(self, house):
        async def waits(request):
            await asyncio.Event().wait()

        house.declare("work", waits, mode="async")
        peer = await submit(house)
        await house.start()
        house.worker.pause()
        draining = asyncio.create_task(house.worker.drain(30))
        await house.clock.advance(31)
        assert await draining == 1
        given_back = await record(house)
        assert (given_back.status, given_back.attempts) == ("PENDING", 0)
        assert peer.kinds("r") == ["acknowledgment"]

    async def test_a_paused_worker_claims_nothing_more(self, house):
        house.declare("work", ok, mode="async")
        await house.start()
        house.worker.pause()
        await submit(house)
        await house.clock.advance(10)
        assert (await record(house)).status == "PENDING"
        assert await house.worker.drain(1) == 0

    async def test_a_claim_under_way_when_the_worker_pauses_is_not_lost(self, house):
        house.declare("work", ok, mode="async")
        peer = await submit(house)
        claim = house.store.claim
        gate = asyncio.get_running_loop().create_future()

        async def slow(*arguments, **options):
            claims = await claim(*arguments, **options)
            await gate
            return claims

        house.store.claim = slow
        await house.start()
        house.worker.pause()
        draining = asyncio.create_task(house.worker.drain(30))
        await house.settle()
        assert not draining.done()
        gate.set_result(None)
        await house.settle()
        assert await draining == 0
        assert peer.kinds("r") == ["acknowledgment", "complete"]

    async def test_a_handler_that_swallows_its_cancellation_does_not_hold_the_drain_up(self, house):
        gate = asyncio.Event()

        async def stubborn(request):
            while not gate.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await gate.wait()

        house.declare("work", stubborn, mode="async")
        await submit(house)
        await house.start()
        house.worker.pause()
        draining = asyncio.create_task(house.worker.drain(1))
        await house.clock.advance(1)
        await house.clock.advance(5)
        assert await draining == 1
        assert any("does not stop" in event for event in house.errors())
        gate.set()
        await house.settle()

    async def test_an_outcome_being_written_is_not_cut_off_by_the_drain(self, house):
        house.declare("work", ok, mode="async")
        peer = await submit(house)
        complete = house.store.complete
        gate = asyncio.get_running_loop().create_future()

        async def slow(*arguments, **options):
            await gate
            await complete(*arguments, **options)

        house.store.complete = slow
        await house.start()
        house.worker.pause()
        draining = asyncio.create_task(house.worker.drain(1))
        await house.clock.advance(2)
        assert not draining.done()
        gate.set_result(None)
        await house.settle()
        assert await draining == 1
        assert peer.kinds("r") == ["acknowledgment", "complete"]
        assert (await record(house)).status == "COMPLETED"

    async def test_a_drain_ends_although_the_store_refuses_outcomes(self, house):
        house.declare("work", ok, mode="async")
        await submit(house)

        async def refusing(*_arguments, **_options):
            raise StoreUnavailable("the disk is full")

        house.store.complete = house.store.release = refusing
        await house.start()
        house.worker.pause()
        draining = asyncio.create_task(house.worker.drain(1))
        for _ in range(10):
            await house.clock.advance(1)
        assert await draining == 1
        assert (await record(house)).status == "PROCESSING"
        assert any("not returned" in event for _, event, _ in house.logger.lines)
