"""A router built by hand: `handle`, `set_async_threshold`, `set_middleware`."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from streamer.contracts.handlers import HandlerFunc
from streamer.contracts.middleware import Middleware
from streamer.core.messages import Result
from streamer.engine.router import Router
from streamer.testing import MockConnectionManager, MockRequestStore, websocket_event


async def echo(request):
    return request.payload


@pytest.fixture
def store():
    return MockRequestStore()


@pytest.fixture
def connections():
    return MockConnectionManager()


@pytest.fixture
def router(store, connections):
    return Router(store, connections)


@pytest.mark.parametrize("threshold", [2, 2.0, "2s", "2000ms", timedelta(seconds=2)])
def test_the_threshold_may_be_written_in_several_ways(router, threshold):
    router.set_async_threshold(threshold)
    router.handle("below", HandlerFunc(echo, 1.9))
    router.handle("at", HandlerFunc(echo, 2.0))
    assert (router.routes["below"].queued, router.routes["at"].queued) == (False, True)


@pytest.mark.parametrize("estimate", ["7s", timedelta(seconds=7), 7])
def test_an_estimate_may_be_written_in_several_ways(router, estimate):
    router.handle("a", HandlerFunc(echo, estimate))
    assert router.routes["a"].estimate == 7.0


def test_a_threshold_counts_for_what_is_declared_after_it(router):
    router.handle("before", HandlerFunc(echo, 3))
    router.set_async_threshold(1)
    router.handle("after", HandlerFunc(echo, 3))
    assert (router.routes["before"].queued, router.routes["after"].queued) == (False, True)


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "streamer.mine", "ä"])
def test_a_name_that_no_message_can_hold_is_refused(router, name):
    with pytest.raises(ValueError, match="is not a valid action name|reserved"):
        router.handle(name, HandlerFunc(echo))


def test_nothing_is_declared_twice_and_nothing_without_a_handler(router):
    router.handle("a", HandlerFunc(echo))
    with pytest.raises(ValueError, match="already registered"):
        router.handle("a", HandlerFunc(echo))
    with pytest.raises(ValueError, match="is None"):
        router.handle("b", None)


async def test_middleware_of_both_shapes_stands_in_the_order_it_was_added(router, connections):
    order = []

    class Named(Middleware):
        async def admit(self, request, next, /):
            order.append("admit")
            await next(request)

        async def process(self, request, next, /):
            order.append("method")
            return await next(request)

    def callable_shape(handler):
        async def process(request):
            order.append("callable")
            return await handler.process(request)

        return HandlerFunc(process, handler.estimated_duration())

    router.set_middleware(callable_shape)
    router.set_middleware(Named())
    router.handle("a", HandlerFunc(echo))
    await router.route(websocket_event({"action": "a", "id": "r", "payload": 1}))
    assert order == ["admit", "callable", "method"]
    assert connections.get_messages("L0SM9cOFvHcCIhw=")[0]["data"] == 1


async def test_without_a_worker_beside_it_the_request_waits_in_the_store(router, connections, store):
    router.handle("a", HandlerFunc(echo, 60))
    await router.route(websocket_event({"action": "a", "id": "r", "payload": 1}))
    assert [request.id for request in store.requests] == ["r"]
    assert connections.get_messages("L0SM9cOFvHcCIhw=")[0]["type"] == "acknowledgment"


@pytest.mark.parametrize("wrong", ["text", 5, {"code": "X"}])
async def test_a_results_error_that_is_no_error_is_the_handlers_fault(router, connections, wrong):
    async def broken(request):
        return Result(success=False, error=wrong)

    router.handle("a", HandlerFunc(broken))
    await router.route(websocket_event(json.dumps({"action": "a", "id": "r"})))
    (answer,) = connections.get_messages("L0SM9cOFvHcCIhw=")
    assert answer["error"]["code"] == "INTERNAL_ERROR"
    assert answer["request_id"] == "r"
