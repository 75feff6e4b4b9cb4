"""What becomes of each message."""

from __future__ import annotations

import asyncio
import json

import pytest

from streamer.contracts.handlers import BaseHandler
from streamer.contracts.middleware import Middleware
from streamer.core.errors import Error, StoreUnavailable
from streamer.core.messages import Result
from streamer.engine.codec import Codec
from streamer.middlewares.timeout import Timeout


async def double(request):
    return request.payload * 2


async def test_a_handler_that_does_not_wait_is_answered_within_the_call(house):
    house.declare("double", double, immediate=True)
    peer = house.peer()
    house.send(peer, action="double", id="r", payload=21)
    assert peer.messages == [{"type": "response", "request_id": "r", "success": True, "data": 42}]


async def test_a_handler_in_a_task_is_answered_too(house):
    house.declare("double", double)
    peer = house.peer()
    house.send(peer, action="double", id="r", payload=21)
    assert peer.messages == []
    assert peer.running == 1
    await house.settle()
    assert (peer.messages[0]["data"], peer.running) == (42, 0)


async def test_a_request_without_an_id_gets_one(house):
    house.declare("double", double, immediate=True)
    peer = house.peer()
    house.send(peer, action="double", payload=1)
    assert peer.messages[0]["request_id"].startswith("req_")


async def test_an_immediate_handler_that_waits_after_all_goes_on_in_a_task(house):
    gate = asyncio.get_running_loop().create_future()

    async def waits(request):
        return [await gate, asyncio.current_task() is not None]

    house.declare("waits", waits, immediate=True)
    peer = house.peer()
    house.send(peer, action="waits", id="r")
    await house.settle()
    assert (peer.messages, peer.running) == ([], 1)
    gate.set_result("done")
    await house.settle()
    assert (peer.messages[0]["data"], peer.running) == (["done", True], 0)


async def test_an_exception_thrown_into_a_resumed_handler_reaches_it(house):
    gate = asyncio.get_running_loop().create_future()

    async def waits(request):
        try:
            await gate
        except KeyError:
            return "caught"

    house.declare("waits", waits, immediate=True)
    peer = house.peer()
    house.send(peer, action="waits", id="r")
    gate.set_exception(KeyError("x"))
    await house.settle()
    assert peer.messages[0]["data"] == "caught"


@pytest.mark.parametrize("immediate", [True, False])
async def test_an_unexpected_exception_is_neutral_for_the_client_and_whole_in_the_log(house, immediate):
    async def breaks(request):
        raise KeyError("secret")

    house.declare("breaks", breaks, immediate=immediate)
    peer = house.peer()
    house.send(peer, action="breaks", id="r")
    await house.settle()
    (answer,) = peer.messages
    assert answer["error"] == {
        "code": "INTERNAL_ERROR",
        "message": "The request could not be completed",
        "retryable": False,
        "details": {},
    }
    ((level, _, context),) = house.logger.lines
    assert level == "error"
    assert context["request_id"] == "r"
    assert isinstance(context["exc_info"], KeyError)
    assert peer.running == 0


async def test_expose_errors_shows_the_exception(house):
    async def breaks(request):
        raise KeyError("secret")

    house.router_options["expose_errors"] = True
    house.declare("breaks", breaks, immediate=True)
    peer = house.peer()
    house.send(peer, action="breaks")
    assert peer.messages[0]["error"]["message"] == "KeyError: 'secret'"


@pytest.mark.parametrize("immediate", [True, False])
async def test_a_handlers_own_error_goes_out_as_it_is(house, immediate):
    async def refuses(request):
        raise Error("TOO_SMALL", "It is too small", {"least": 3}, retryable=True)

    house.declare("refuses", refuses, immediate=immediate)
    peer = house.peer()
    house.send(peer, action="refuses", id="r")
    await house.settle()
    assert peer.messages[0]["error"] == {
        "code": "TOO_SMALL",
        "message": "It is too small",
        "retryable": True,
        "details": {"least": 3},
    }


async def test_a_result_with_error_and_metadata_goes_out_whole(house):
    async def half(request):
        return Result(success=False, data=[1], error=Error("HALF", "half of it"), metadata={"took": 3})

    house.declare("half", half, immediate=True)
    peer = house.peer()
    house.send(peer, action="half", id="r")
    (answer,) = peer.messages
    assert (answer["success"], answer["data"], answer["metadata"]) == (False, [1], {"took": 3})
    assert answer["error"]["code"] == "HALF"


@pytest.mark.parametrize("immediate", [True, False])
async def test_a_result_that_is_not_json_is_the_handlers_fault(house, immediate):
    async def strange(request):
        return object()

    house.declare("strange", strange, immediate=immediate)
    peer = house.peer()
    house.send(peer, action="strange", id="r")
    await house.settle()
    assert peer.messages[0]["error"]["code"] == "INTERNAL_ERROR"
    assert "not JSON" in house.errors()[0]


async def test_details_that_are_not_json_do_not_lose_the_error(house):
    async def refuses(request):
        raise Error("ODD", "odd", {"thing": object()})

    house.declare("refuses", refuses, immediate=True)
    peer = house.peer()
    house.send(peer, action="refuses", id="r")
    assert peer.messages[0]["error"]["details"] == {}


@pytest.mark.parametrize("immediate", [True, False])
async def test_an_error_whose_text_is_not_utf8_goes_out_all_the_same(house, immediate):
    async def refuses(request):
        raise Error("ODD", "no such file: \udcff")

    house.declare("refuses", refuses, immediate=immediate)
    peer = house.peer()
    house.send(peer, action="refuses", id="r")
    await house.settle()
    assert peer.messages[0]["error"]["message"] == "no such file: ?"


@pytest.mark.parametrize("immediate", [True, False])
async def test_a_result_whose_error_is_none_is_the_handlers_fault(house, immediate):
    async def half(request):
        return Result(success=False, error="a mere text")

    house.declare("half", half, immediate=immediate)
    peer = house.peer()
    house.send(peer, action="half", id="r")
    await house.settle()
    assert peer.messages[0]["error"]["code"] == "INTERNAL_ERROR"
    assert house.logger.lines[0][2]["request_id"] == "r"


async def test_a_handler_that_breaks_before_it_begins_is_answered_too(house):
    class NoCoroutine(BaseHandler):
        def process(self, request):
            raise KeyError("not even a coroutine")

    house.declare("breaks", NoCoroutine(), immediate=True)
    peer = house.peer()
    house.send(peer, action="breaks", id="r")
    assert peer.messages[0]["error"]["code"] == "INTERNAL_ERROR"


async def test_a_wrong_payload_gets_every_violation_with_its_place(house):
    schema = {
        "type": "object",
        "properties": {"a/b": {"type": "integer"}, "list": {"type": "array", "items": {"maximum": 5}}},
        "required": ["name"],
    }
    house.declare("checked", double, schema=schema, immediate=True)
    peer = house.peer()
    house.send(peer, action="checked", id="r", payload={"a/b": "x", "list": [1, 9]})
    error = peer.messages[0]["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert {one["path"] for one in error["details"]["errors"]} == {"", "/a~1b", "/list/1"}


async def test_a_payload_with_thousands_of_violations_gets_the_first_hundred(house):
    house.declare("checked", double, schema={"items": {"type": "string"}}, immediate=True)
    peer = house.peer()
    house.send(peer, action="checked", payload=list(range(5000)))
    assert len(peer.messages[0]["error"]["details"]["errors"]) == 100


async def test_the_handlers_own_validation_may_raise_error_value_error_or_break(house):
    def declare(name, problem):
        handler = house.declare(name, double, immediate=True).handler

        def validate(_request):
            raise problem

        handler._validator = validate
        house.router.routes[name].pipeline = house.router.routes[name].pipeline._replace(validate=validate)

    declare("error", Error("MINE", "mine"))
    declare("value", ValueError("no good"))
    declare("breaks", KeyError("x"))
    peer = house.peer()
    for name in ("error", "value", "breaks"):
        house.send(peer, action=name)
    assert [message["error"]["code"] for message in peer.messages] == ["MINE", "VALIDATION_ERROR", "INTERNAL_ERROR"]
    assert peer.messages[1]["error"]["message"] == "no good"


async def test_an_unknown_action_is_told_near_misses(house):
    house.declare("generate_report", double)
    peer = house.peer()
    house.send(peer, action="generate_reprot", id="r")
    house.send(peer, action="xyz", id="r2")
    house.send(peer, action="not a name", id="r3")
    first, second, third = peer.messages
    assert first["error"]["code"] == "INVALID_ACTION"
    assert first["error"]["details"]["did_you_mean"] == ["generate_report"]
    assert "did_you_mean" not in second["error"]["details"]
    assert third["error"]["code"] == "VALIDATION_ERROR"


async def test_one_request_too_many_of_a_connection_is_rate_limited(house):
    gate = asyncio.get_running_loop().create_future()

    async def waits(request):
        await asyncio.shield(gate)

    house.declare("waits", waits)
    peer, other = house.peer(), house.peer("c2")
    for number in range(9):
        house.send(peer, action="waits", id=f"r{number}")
    house.send(other, action="waits", id="other")
    assert peer.messages[0]["error"]["code"] == "RATE_LIMITED"
    assert peer.messages[0]["error"]["details"]["retry_after_ms"] > 0
    gate.set_result(None)
    await house.settle()
    assert (len(peer.messages), len(other.messages), peer.running) == (9, 1, 0)


async def test_a_slow_direct_request_times_out(house):
    async def waits(request):
        await asyncio.Event().wait()

    house.declare("waits", waits, timeout=0.01)
    house.declare("quick", double, timeout=10)
    peer = house.peer()
    house.send(peer, action="waits", id="r")
    house.send(peer, action="quick", id="q", payload=1)
    while len(peer.messages) < 2:
        await asyncio.sleep(0)
    assert peer.of("r")[0]["error"]["code"] == "TIMEOUT"
    assert peer.of("q")[0]["data"] == 2


async def test_a_timeout_of_the_handlers_own_is_its_own_affair(house):
    async def own(request):
        raise TimeoutError("the database was slow")

    house.declare("own", own, timeout=10)
    peer = house.peer()
    house.send(peer, action="own")
    await house.settle()
    assert peer.messages[0]["error"]["code"] == "INTERNAL_ERROR"


class TestQueueing:
    async def test_nothing_is_sent_before_the_request_is_stored(self, house):
        stored = asyncio.get_running_loop().create_future()

        class SlowStore:
            async def enqueue(self, _request):
                return await stored

        house.router_options["store"] = SlowStore()
        house.declare("later", double, mode="async")
        peer = house.peer()
        house.send(peer, action="later", id="r")
        await house.settle()
        assert peer.messages == []
        stored.set_result(None)
        await house.settle()
        assert peer.messages == [
            {
                "type": "acknowledgment",
                "request_id": "r",
                "seq": 0,
                "status": "queued",
                "message": "Request queued for async processing",
            }
        ]

    async def test_the_acknowledgment_comes_first_even_if_the_work_is_done_before(self, house):
        house.declare("later", double, mode="async")
        answered = asyncio.get_running_loop().create_future()
        enqueue = house.adapter.enqueue

        class LateAnswer:
            async def enqueue(self, request):
                existing = await enqueue(request)
                await answered
                return existing

        house.router_options["store"] = LateAnswer()
        await house.start()
        peer = house.peer()
        house.send(peer, action="later", id="r", payload=4)
        await house.settle()
        house.worker.wake()
        await house.settle()
        assert (await house.store.get(("client:one", "r"))).status == "COMPLETED"
        assert peer.messages == []
        answered.set_result(None)
        await house.settle()
        assert peer.kinds("r") == ["acknowledgment", "complete"]
        assert ("client:one", "r") not in house.delivery.subscribed_here()

    @pytest.mark.parametrize(
        ("problem", "code"),
        [
            (StoreUnavailable("the disk is full"), "OVERLOADED"),
            (Error("OVERLOADED", "full", {"retry_after_ms": 5}), "OVERLOADED"),
            (KeyError("x"), "INTERNAL_ERROR"),
        ],
    )
    async def test_what_cannot_be_stored_is_refused_and_not_followed(self, house, problem, code):
        class Broken:
            async def enqueue(self, _request):
                raise problem

        house.router_options["store"] = Broken()
        house.declare("later", double, mode="async")
        peer = house.peer()
        house.send(peer, action="later", id="r")
        await house.settle()
        assert peer.messages[0]["error"]["code"] == code
        assert ("client:one", "r") not in house.delivery.subscribed_here()
        assert peer.running == 0

    async def test_the_same_request_again_is_the_same_request(self, house):
        house.declare("later", double, mode="async")
        await house.start()
        peer = house.peer()
        house.send(peer, action="later", id="r", payload=4)
        await house.settle()
        house.send(peer, action="later", id="r", payload=4)
        await house.settle()
        assert peer.kinds("r") == ["acknowledgment", "complete", "acknowledgment", "complete"]
        assert (await house.store.get(("client:one", "r"))).attempts == 1

    async def test_another_request_under_the_same_id_is_a_conflict_and_disturbs_nothing(self, house):
        house.declare("later", double, mode="async")
        house.declare("other", double, mode="async")
        assert house.worker
        peer = house.peer()
        house.send(peer, action="later", id="r", payload=4)
        await house.settle()
        house.send(peer, action="later", id="r", payload=5)
        house.send(peer, action="other", id="r", payload=4)
        await house.settle()
        assert [message["error"]["code"] for message in peer.messages[1:]] == ["CONFLICT", "CONFLICT"]
        await house.start()
        assert peer.messages[-1]["result"] == 8

    async def test_another_owners_id_is_another_request(self, house):
        house.declare("later", double, mode="async")
        await house.start()
        first, second = house.peer(), house.peer("c2", "client:two")
        house.send(first, action="later", id="r", payload=1)
        house.send(second, action="later", id="r", payload=2)
        await house.settle()
        assert (first.messages[-1]["result"], second.messages[-1]["result"]) == (2, 4)

    @pytest.mark.parametrize(
        ("wait", "queued"), [(0, True), ("0s", True), (1, True), ("10s", False), (10, False), (1e8, False)]
    )
    async def test_the_client_may_say_how_long_it_waits(self, house, wait, queued):
        house.declare("five", double, mode="auto", estimate=5.0, threshold=20.0)
        assert house.worker
        peer = house.peer()
        house.send(peer, action="five", id="r", payload=1, wait=wait)
        await house.settle()
        assert peer.kinds("r") == (["acknowledgment"] if queued else ["response"])

    async def test_a_client_cannot_wait_longer_than_the_action_allows(self, house):
        house.declare("five", double, mode="auto", estimate=5.0, threshold=20.0, max_wait=2.0)
        assert house.worker
        peer = house.peer()
        house.send(peer, action="five", id="r", payload=1, wait=60)
        house.send(peer, action="five", id="s", payload=1)
        await house.settle()
        assert (peer.kinds("r"), peer.kinds("s")) == (["acknowledgment"], ["response"])


class Refusing(Middleware):
    async def admit(self, request, next):
        if request.payload == "no":
            raise Error("FORBIDDEN", "not you")
        await next(request)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("immediate", [True, False])
async def test_admission_can_refuse_before_anything_happens(house, mode, immediate):
    house.declare("guarded", double, mode=mode, immediate=immediate, middlewares=[Refusing()])
    assert house.worker
    peer = house.peer()
    house.send(peer, action="guarded", id="no", payload="no")
    house.send(peer, action="guarded", id="yes", payload="yes")
    await house.settle()
    assert peer.of("no")[0]["error"]["code"] == "FORBIDDEN"
    assert peer.kinds("yes") == ["response" if mode == "sync" else "acknowledgment"]
    assert await house.store.get(("client:one", "no")) is None


async def test_the_timeout_middleware_costs_no_task_until_the_handler_waits(house):
    async def waits(request):
        await asyncio.Event().wait()

    house.declare("double", double, immediate=True, middlewares=[Timeout(limit=0.01)])
    house.declare("waits", waits, immediate=True, middlewares=[Timeout(limit=0.01)])
    peer = house.peer()
    house.send(peer, action="double", id="d", payload=1)
    assert peer.kinds("d") == ["response"]
    house.send(peer, action="waits", id="w")
    while not peer.of("w"):
        await asyncio.sleep(0)
    assert peer.of("w")[0]["error"]["code"] == "TIMEOUT"


class TestDraining:
    async def test_new_requests_are_refused_and_the_services_own_too(self, house):
        house.declare("double", double, immediate=True)
        house.router.begin_drain()
        peer = house.peer()
        house.send(peer, action="double")
        assert peer.messages[0]["error"]["code"] == "OVERLOADED"
        assert peer.messages[0]["error"]["details"]["retry_after_ms"] > 0

    async def test_what_is_being_answered_may_finish(self, house):
        gate = asyncio.get_running_loop().create_future()

        async def waits(request):
            return await gate

        house.declare("waits", waits)
        peer = house.peer()
        house.send(peer, action="waits", id="r")
        await house.settle()
        draining = asyncio.create_task(house.router.drain(10))
        await house.settle()
        gate.set_result("finished")
        await draining
        assert peer.messages[0]["data"] == "finished"

    async def test_what_does_not_finish_is_cut_off_and_its_client_told(self, house):
        async def waits(request):
            await asyncio.Event().wait()

        house.declare("waits", waits)
        peer = house.peer()
        house.send(peer, action="waits", id="r")
        await house.settle()
        draining = asyncio.create_task(house.router.drain(10))
        await house.clock.advance(10)
        await draining
        assert peer.messages[0]["error"]["code"] == "OVERLOADED"


async def test_a_closed_connection_is_followed_no_more_and_the_work_goes_on(house):
    house.declare("later", double, mode="async")
    assert house.worker
    peer = house.peer()
    house.send(peer, action="later", id="r", payload=2)
    await house.settle()
    house.connections.remove(peer)
    house.router.disconnected(peer)
    assert house.delivery.subscribed_here() == set()
    await house.start()
    assert (await house.store.get(("client:one", "r"))).status == "COMPLETED"
    assert peer.kinds("r") == ["acknowledgment"]


async def test_unknown_fields_are_ignored_unless_the_service_is_strict(house, strict_codec):
    house.declare("double", double, immediate=True)
    peer = house.peer()
    house.send(peer, action="double", id="r", payload=1, extra=True)
    assert peer.kinds("r") == ["response"]
    house.router._decode = strict_codec.decode
    house.send(peer, action="double", id="s", payload=1, extra=True)
    assert peer.of("s")[0]["error"]["code"] == "VALIDATION_ERROR"
    assert "extra" in json.dumps(peer.of("s"))
    house.router._decode = Codec().decode


class TestServiceActions:
    async def test_ping_tells_the_time(self, house):
        assert house.worker
        peer = house.peer()
        house.send(peer, action="streamer.ping", id="r")
        await house.settle()
        assert peer.messages[0]["data"] == {"pong": True, "time": "2026-01-01T00:00:00.000Z"}

    async def test_actions_lists_what_may_be_asked_for(self, house):
        house.declare("double", double, schema={"type": "integer"}, description="Twice", estimate=1.5)
        assert house.worker
        peer = house.peer()
        house.send(peer, action="streamer.actions")
        await house.settle()
        assert peer.messages[0]["data"]["actions"] == [
            {
                "action": "double",
                "description": "Twice",
                "estimated_duration": 1.5,
                "queued": False,
                "schema": {"type": "integer"},
            }
        ]

    async def test_their_payload_is_checked(self, house):
        assert house.worker
        peer = house.peer()
        house.send(peer, action="streamer.ping", payload={"x": 1})
        house.send(peer, action="streamer.status", payload={})
        assert [message["error"]["code"] for message in peer.messages] == ["VALIDATION_ERROR"] * 2

    async def test_status_follows_a_request_from_the_queue_to_its_end(self, house):
        gate = asyncio.get_running_loop().create_future()

        async def works(request):
            request.progress.report(30, "on the way")
            return Result(data=await gate, metadata={"m": 1}, success=False, error=Error("HALF", "half"))

        house.declare("works", works, mode="async")
        assert house.worker
        peer = house.peer()

        async def status():
            house.send(peer, action="streamer.status", id="q", payload={"request_id": "r"})
            await house.settle()
            return peer.of("q")[-1]["data"]

        house.send(peer, action="works", id="r")
        await house.settle()
        assert (await status())["status"] == "PENDING"
        await house.start()
        running = await status()
        assert (running["status"], running["percentage"], running["message"]) == ("PROCESSING", 30, "on the way")
        gate.set_result([1])
        await house.settle()
        ended = await status()
        assert (ended["status"], ended["result"], ended["metadata"]) == ("COMPLETED", [1], {"m": 1})
        assert (ended["success"], ended["error"]["code"]) == (False, "HALF")
        assert ended["finished_at"]

    async def test_a_request_that_waits_for_another_attempt_says_until_when(self, house):
        async def fails(request):
            raise Error("BUSY", "busy", retryable=True)

        house.declare("fails", fails, mode="async")
        await house.start()
        peer = house.peer()
        house.send(peer, action="fails", id="r")
        await house.settle()
        house.send(peer, action="streamer.status", id="q", payload={"request_id": "r"})
        await house.settle()
        told = peer.of("q")[0]["data"]
        assert (told["status"], told["error"]["code"]) == ("RETRYING", "BUSY")
        assert told["retry_at"]

    async def test_a_foreign_request_is_not_found(self, house):
        house.declare("later", double, mode="async")
        assert house.worker
        peer, stranger = house.peer(), house.peer("c2", "client:two")
        house.send(peer, action="later", id="r")
        await house.settle()
        house.send(stranger, action="streamer.status", payload={"request_id": "r"})
        await house.settle()
        assert stranger.messages[0]["error"]["code"] == "NOT_FOUND"


async def test_what_was_no_request_is_counted_and_nothing_else(house):
    house.declare("double", double, immediate=True, schema={"type": "integer"})
    peer = house.peer()
    for frame in (b"{", b'{"action":"nothing"}', b'{"action":"double","payload":"x"}'):
        house.router.receive(peer, frame)
    assert peer.refusals == 3
    house.send(peer, action="double", payload=1)
    house.router.begin_drain()
    house.send(peer, action="double", payload=1)
    assert [message["type"] for message in peer.messages] == ["error"] * 3 + ["response", "error"]
    assert peer.refusals == 3


async def test_a_request_without_the_permission_counts_as_refused_and_a_handlers_own_error_does_not(house):
    async def fails(request):
        raise Error("FORBIDDEN", "not you")

    house.declare("secret", double, immediate=True, permissions=frozenset({"read"}))
    house.declare("fails", fails)
    peer = house.peer()
    house.send(peer, action="secret", payload=1)
    assert (peer.messages[0]["error"]["code"], peer.refusals) == ("FORBIDDEN", 1)
    house.send(peer, action="fails", payload=1)
    await house.settle()
    assert (peer.messages[1]["error"]["code"], peer.refusals) == ("FORBIDDEN", 1)


async def test_a_message_that_breaks_many_rules_counts_for_many(house):
    house.declare("checked", double, schema={"items": {"type": "string"}}, immediate=True)
    peer = house.peer()
    house.send(peer, action="checked", payload=[1, 2, "x", 3])
    assert peer.refusals == 3
