"""API Gateway's events: what they carry, and the order in which their answers are posted."""

from __future__ import annotations

import pytest

from streamer.contracts.connections import ConnectionInfo
from streamer.core.errors import ConnectionGone, NotSent
from streamer.engine.codec import MalformedError
from streamer.engine.events import EventPeer, frame_of
from streamer.engine.router import Router
from streamer.engine.worker import Worker
from streamer.handlers.echo import EchoHandler
from streamer.testing import MockConnectionManager, websocket_event
from streamer.testing.clock import settle

CONNECTION = "L0SM9cOFvHcCIhw="


def test_a_body_is_text_or_base64_of_it():
    assert frame_of({"body": "ü"}) == frame_of({"body": "w7w=", "isBase64Encoded": True}) == "ü".encode()
    assert frame_of({}) == frame_of({"body": None}) == b""


@pytest.mark.parametrize("body", ["abc", "!!!!", "ü"])
def test_what_is_not_the_base64_that_it_claims_to_be_is_malformed(body):
    with pytest.raises(MalformedError, match="base64"):
        frame_of({"body": body, "isBase64Encoded": True})


async def test_an_events_connection_collects_all_that_it_is_sent_until_it_is_posted():
    posted = []

    async def post(connection_id, messages):
        posted.append((connection_id, messages))
        return True

    peer = EventPeer("c", ConnectionInfo("client:one", None), post)
    peer.send(b"1")
    peer.send_latest("r", b"2", True)
    assert posted == []
    assert await peer.post()
    assert await peer.post()
    assert posted == [("c", [b"1", b"2"]), ("c", [])]


@pytest.fixture
def connections():
    return MockConnectionManager()


@pytest.fixture
async def router(house, connections):
    router = Router(house.adapter, connections, clock=house.clock, logger=house.logger)
    router.handle("echo", EchoHandler(clock=house.clock))
    return router


@pytest.mark.parametrize(
    "changes",
    [{"body": '{"action":"echo","payload":"\ud800"}'}, {"body": "abc", "isBase64Encoded": True}],
    ids=["half a surrogate pair", "broken base64"],
)
async def test_a_body_that_is_no_text_is_answered_as_malformed(router, connections, changes):
    assert await router.route({**websocket_event("x"), **changes}) == {"statusCode": 200}
    (answer,) = connections.get_messages(CONNECTION)
    assert (answer["type"], answer["error"]["code"]) == ("error", "VALIDATION_ERROR")


async def test_the_acknowledgment_is_posted_before_what_a_worker_of_the_same_process_sends(house, router, connections):
    worker = Worker(house.store, router.routes, router.delivery, clock=house.clock, logger=house.logger, name="w")
    enqueue = house.adapter.enqueue

    async def finished_first(request):
        existing = await enqueue(request)
        await worker.step()
        await settle()
        return existing

    house.adapter.enqueue = finished_first
    router.set_async_threshold(0)
    router.handle("later", EchoHandler(clock=house.clock))
    await router.route(websocket_event({"action": "later", "id": "r"}))
    assert [message["type"] for message in connections.get_messages(CONNECTION)] == ["acknowledgment", "complete"]


async def test_a_connection_that_is_gone_is_followed_no_more_and_is_no_error(router, connections):
    async def gone(_connection_id, _message):
        raise ConnectionGone("410")

    connections.send_func = gone
    router.set_async_threshold(0)
    router.handle("later", EchoHandler())
    assert await router.route(websocket_event({"action": "later", "id": "r"})) == {"statusCode": 200}
    assert router.delivery.subscribed_here() == set()


@pytest.mark.parametrize("action", ["echo", "later"])
async def test_a_connection_manager_that_breaks_is_the_callers_to_know(router, connections, action):
    async def broken(_connection_id, _message):
        raise OSError("the gateway is down")

    connections.send_func = broken
    router.set_async_threshold(0)
    router.handle("later", EchoHandler())
    with pytest.raises(OSError, match="gateway"):
        await router.route(websocket_event({"action": action, "id": "r"}))


async def test_after_a_disconnect_nothing_more_is_sent_to_that_connection(house, router, connections):
    router.set_async_threshold(0)
    router.handle("later", EchoHandler())
    await router.route(websocket_event({"action": "later", "id": "r"}))
    await router.route(websocket_event(kind="DISCONNECT"))
    worker = Worker(house.store, router.routes, router.delivery, clock=house.clock, logger=house.logger, name="w")
    await worker.step()
    await settle()
    assert (await house.store.get((f"connection:{CONNECTION}", "r"))).status == "COMPLETED"
    assert [message["type"] for message in connections.get_messages(CONNECTION)] == ["acknowledgment"]


@pytest.mark.parametrize("action", ["echo", "later"])
async def test_a_client_that_takes_no_answer_is_no_error_of_the_function(house, router, connections, action):
    async def full(connection_id, message, /, **_options):
        raise NotSent("its client does not read")

    connections.send = full
    handler = EchoHandler(clock=house.clock)
    if action == "later":
        house.declare("later", handler, mode="async")
        router.add(house.router.routes["later"])
    event = {**websocket_event("x"), "body": f'{{"action":"{action}","id":"r1"}}'}
    assert await router.route(event) == {"statusCode": 200}
    assert "a connection did not accept an answer" in [event for _, event, _ in house.logger.lines]
    if action == "later":
        assert (await house.store.get((f"connection:{CONNECTION}", "r1"))).status == "PENDING"
