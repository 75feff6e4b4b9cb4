"""The original system's way of testing: a mock store, a mock connection manager, an event into the router."""

from __future__ import annotations

import pytest

from streamer import (
    BaseHandler,
    DelayHandler,
    EchoHandler,
    Error,
    Request,
    Result,
    Router,
    ValidationExampleHandler,
    convert_async_request_to_request,
    logging_middleware,
    simple_handler,
)
from streamer.core.errors import ConnectionGone
from streamer.engine.adapters import RequestQueueAdapter
from streamer.stores.memory import MemoryStore
from streamer.testing import (
    FailingMock,
    ManualClock,
    MockConnectionManager,
    MockRequestStore,
    ProgressReporterMock,
    RecordingMock,
    RecordingReporter,
    SendOnlyMock,
    websocket_event,
)

CONNECTION = "L0SM9cOFvHcCIhw="


@pytest.fixture
def store():
    return MockRequestStore()


@pytest.fixture
def connections():
    return MockConnectionManager()


@pytest.fixture
def router(store, connections):
    return Router(store, connections)


async def test_a_short_request_is_answered_through_the_connection_manager(router, connections, store):
    router.handle("echo", EchoHandler())
    event = websocket_event({"action": "echo", "id": "req-123", "payload": {"hello": "world"}})
    assert await router.route(event) == {"statusCode": 200}
    (answer,) = connections.get_messages(CONNECTION)
    assert (answer["type"], answer["request_id"], answer["success"]) == ("response", "req-123", True)
    assert answer["data"]["echo"] == {"hello": "world"}
    assert store.requests == []
    assert connections.call_count("send") == 1


async def test_long_work_is_stored_and_acknowledged(router, connections, store):
    router.set_async_threshold(5)
    router.handle("slow", DelayHandler(10.0))
    await router.route(websocket_event({"action": "slow", "id": "r", "payload": [1], "metadata": {"k": "v"}}))
    (stored,) = store.requests
    assert (stored.id, stored.action, stored.payload, stored.metadata) == ("r", "slow", [1], {"k": "v"})
    assert connections.get_messages(CONNECTION) == [
        {
            "type": "acknowledgment",
            "request_id": "r",
            "seq": 0,
            "status": "queued",
            "message": "Request queued for async processing",
        }
    ]


async def test_a_store_that_fails_is_an_error_to_the_client_and_no_acknowledgment(router, connections, store):
    async def fail(_request):
        raise RuntimeError("the table is gone")

    store.enqueue_func = fail
    router.set_async_threshold("1s")
    router.handle("slow", DelayHandler(10.0))
    await router.route(websocket_event({"action": "slow"}))
    (answer,) = connections.get_messages(CONNECTION)
    assert answer["error"]["code"] == "INTERNAL_ERROR"
    assert "table" not in answer["error"]["message"]


async def test_validation_names_every_field(router, connections):
    router.handle("greet", ValidationExampleHandler())
    await router.route(websocket_event({"action": "greet", "payload": {}}))
    await router.route(websocket_event({"action": "greet", "payload": {"name": "Ada", "email": "ada@example.com"}}))
    refused, answered = connections.get_messages(CONNECTION)
    assert refused["error"]["code"] == "VALIDATION_ERROR"
    assert answered["data"]["message"] == "Hello, Ada!"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("not json", "VALIDATION_ERROR"),
        ({"payload": {}}, "VALIDATION_ERROR"),
        ({"action": "ecoh"}, "INVALID_ACTION"),
        ("", "VALIDATION_ERROR"),
    ],
)
async def test_what_cannot_be_routed_is_answered_with_its_code(router, connections, body, code):
    router.handle("echo", EchoHandler())
    await router.route(websocket_event(body))
    (answer,) = connections.get_messages(CONNECTION)
    assert (answer["type"], answer["error"]["code"]) == ("error", code)


async def test_a_body_in_base64_is_read(router, connections):
    router.handle("echo", EchoHandler())
    await router.route(websocket_event({"action": "echo", "payload": "ü"}, base64_encoded=True))
    assert connections.get_messages(CONNECTION)[0]["data"]["echo"] == "ü"


async def test_connecting_and_disconnecting_are_taken_calmly(router, connections):
    assert await router.route(websocket_event(kind="CONNECT", query={"a": "b"})) == {"statusCode": 200}
    assert await router.route(websocket_event(kind="DISCONNECT")) == {"statusCode": 200}
    assert connections.calls == []


async def test_middleware_wraps_in_the_order_it_was_set(router, connections):
    lines = []

    def log(form, *arguments):
        lines.append(form % arguments)

    def named(name):
        def wrap(handler):
            class Wrapped(BaseHandler):
                async def process(self, request):
                    lines.append(f"{name} in")
                    result = await handler.process(request)
                    lines.append(f"{name} out")
                    return result

            return Wrapped(estimated_duration=handler.estimated_duration())

        return wrap

    router.set_middleware(named("outer"), logging_middleware(log, clock=ManualClock()), named("inner"))
    router.handle("echo", EchoHandler())
    await router.route(websocket_event({"action": "echo", "id": "r1"}))
    assert lines == [
        "outer in",
        "request r1 starts: action echo",
        "inner in",
        "inner out",
        "request r1 ended after 0s: success True",
        "outer out",
    ]
    assert connections.get_messages(CONNECTION)[0]["success"] is True


async def test_the_logging_middleware_logs_failures_and_keeps_progress():
    lines = []
    wrap = logging_middleware(lambda form, *arguments: lines.append(form % arguments), clock=ManualClock())

    async def broken(_request):
        raise Error("BROKEN", "it broke")

    with pytest.raises(Error):
        await wrap(simple_handler("broken", broken)).process(Request(id="r", action="broken"))
    assert lines[-1] == "request r failed after 0s: Error: it broke"

    class WithProgress(BaseHandler):
        async def process_with_progress(self, request, reporter):
            reporter.report(50, "half")
            return Result(data=1)

    reporter = RecordingReporter()
    await wrap(WithProgress()).process_with_progress(Request(id="r", action="a"), reporter)
    assert reporter.updates == [(50, "half", {})]

    async def plain(_request):
        return 2

    result = await wrap(simple_handler("plain", plain)).process_with_progress(Request(id="r", action="a"), reporter)
    assert result.data == 2


@pytest.mark.parametrize("name", ["", "with space", "x" * 129, "streamer.ping"])
def test_a_bad_action_name_is_refused(router, name):
    with pytest.raises(ValueError, match="action name|reserved"):
        router.handle(name, EchoHandler())


def test_an_action_cannot_be_declared_twice_nor_without_a_handler(router):
    router.handle("echo", EchoHandler())
    with pytest.raises(ValueError, match="already registered"):
        router.handle("echo", EchoHandler())
    with pytest.raises(ValueError, match="is None"):
        router.handle("other", None)


async def test_the_send_only_mock_keeps_what_was_sent_or_asks_its_function():
    mock = SendOnlyMock()
    await mock.send("c", b'{"a": 1}')
    await mock.send("c", {"b": 2})
    assert mock.get_messages("c") == [{"a": 1}, {"b": 2}]
    mock.reset()
    assert mock.get_messages("c") == []

    async def refuse(_connection_id, _message):
        raise ConnectionError("gone")

    mock.send_func = refuse
    with pytest.raises(ConnectionError):
        await mock.send("c", {})


async def test_the_other_mocks_know_who_is_active_and_count_their_calls():
    progress = ProgressReporterMock()
    progress.set_active("on", True)
    assert await progress.is_active("on")
    assert not await progress.is_active("off")
    progress.is_active_func = lambda connection_id: connection_id == "off"
    assert await progress.is_active("off")

    recording = RecordingMock()
    assert await recording.is_active("any")
    assert recording.is_active_calls == ["any"]

    whole = MockConnectionManager()
    assert await whole.broadcast(["a", "b"], {"x": 1}) == []
    assert whole.get_messages("b") == [{"x": 1}]
    assert not await whole.is_active("a")
    assert (whole.call_count("broadcast"), whole.call_count("is_active"), whole.call_count("send")) == (1, 1, 0)

    async def all_gone(connection_ids, _message):
        return connection_ids

    whole.broadcast_func = all_gone
    assert await whole.broadcast(["a"], {}) == ["a"]
    whole.reset()
    assert whole.calls == []


async def test_the_failing_mock_fails_whatever_it_is_asked():
    mock = FailingMock(ConnectionError("network"))
    for sending in (mock.send("c", {}), mock.broadcast(["c"], {})):
        with pytest.raises(ConnectionError, match="network"):
            await sending
    assert not await mock.is_active("c")


async def test_a_request_whose_client_has_gone_is_stored_all_the_same(store):
    router = Router(store, FailingMock(ConnectionGone("410")))
    router.set_async_threshold(0)
    router.handle("slow", DelayHandler(10.0))
    assert await router.route(websocket_event({"action": "slow", "id": "r"})) == {"statusCode": 200}
    assert [request.id for request in store.requests] == ["r"]


async def test_the_queue_adapter_speaks_of_records_as_requests():
    clock = ManualClock()
    queue = MemoryStore(clock)
    adapter = RequestQueueAdapter(queue)
    request = Request(id="r", action="a", payload={"n": 1}, metadata={"m": "x"}, owner="o", created_at=clock.now())
    assert await adapter.enqueue(request) is None
    assert (await adapter.get_async_request("r")).payload == {"n": 1}
    (claimed,) = (await queue.claim("w", 1, 30)).records
    await adapter.update_progress("r", 40, "on the way")
    assert (await queue.get(("o", "r"))).percentage == 40
    await adapter.complete_request("r", Result(data={"done": True}))
    assert (await queue.get(("o", "r"))).status == "COMPLETED"
    converted = convert_async_request_to_request(claimed)
    assert (converted.id, converted.metadata, converted.attempt) == ("r", {"m": "x"}, 1)

    await adapter.enqueue(Request(id="f", action="a", owner="o", created_at=clock.now()))
    await queue.claim("w", 1, 30)
    await adapter.fail_request("f", ValueError("no good"), owner="o")
    failed = await queue.get(("o", "f"))
    assert (failed.status, failed.error.code, failed.error.message) == ("FAILED", "INTERNAL_ERROR", "no good")
    for unknown in ("never",):
        with pytest.raises(Error, match="not found"):
            await adapter.get_async_request(unknown)
    await adapter.enqueue(Request(id="r", action="a", owner="other", created_at=clock.now()))
    with pytest.raises(Error, match="2 owners"):
        await adapter.get_async_request("r")
    with pytest.raises(Error, match="not found"):
        await adapter.get_async_request("r", owner="third")


def test_events_carry_what_the_gateway_sends():
    connect = websocket_event(kind="CONNECT", query={"token": "t"}, headers={"Host": "h"}, authorizer={"user": "u"})
    assert connect["requestContext"]["routeKey"] == "$connect"
    assert connect["queryStringParameters"] == {"token": "t"}
    assert connect["requestContext"]["authorizer"] == {"user": "u"}
    message = websocket_event("text")
    assert "headers" not in message
    assert message["body"] == "text"
    assert websocket_event(kind="DISCONNECT")["requestContext"]["disconnectStatusCode"] == 1005
