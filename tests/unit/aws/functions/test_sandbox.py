"""A service inside one sandbox: opened once, in parts, and nothing of it runs between two invocations."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from dataclasses import replace

import pytest

import streamer_aws
from streamer.contracts.handlers import HandlerFunc
from streamer.core.clock import SystemClock
from streamer.core.errors import ConfigError, StartError, StoreUnavailable
from streamer.engine.pipeline import compose
from streamer.testing import websocket_event
from streamer.testing.clock import settle
from streamer_aws.connections.component import definitions as sockets
from streamer_aws.dynamodb import tables
from streamer_aws.functions.sandbox import Sandbox
from streamer_aws.store.component import definitions as requests

CONFIG = """
version: 1
auth: {{use: none, allow_anyone: true}}
backends:
  store: {{use: dynamodb, prefix: {prefix}, region: eu-central-1, endpoint_url: "{url}"}}
  connections: {{use: apigateway, prefix: {prefix}, region: eu-central-1, endpoint_url: "{url}"}}
actions:
  echo: {{handler: echo, description: "${{GREETING:-none}}"}}
  later: {{handler: echo, mode: async}}
  watched: {{handler: echo, mode: async, on_disconnect: cancel}}
"""
OTHER = "version: 1\nauth: {{use: none, allow_anyone: true}}\nbackends: {}\nactions: {{echo: {{handler: echo}}}}\n"


class Context:
    """Part of Lambda's."""

    def get_remaining_time_in_millis(self):
        return 60_000


@pytest.fixture
async def config(dynamodb, ministack, tmp_path):
    prefix = f"{tmp_path.name[-24:].lower()}-"
    made = [*requests({"prefix": prefix}), *sockets({"prefix": prefix})]
    for one in made:
        await tables.create(dynamodb, one, SystemClock())
    path = tmp_path / "aws.yaml"
    path.write_text(CONFIG.format(prefix=prefix, url=ministack))
    yield path
    for one in made:
        await tables.delete(dynamodb, one["TableName"], SystemClock())


@pytest.fixture
async def sandbox(config, house):
    sandbox = Sandbox(config, {"GREETING": "Hello", "AWS_REGION": "eu-central-1"}, logger=house.log)
    yield sandbox
    await sandbox.close()


@pytest.fixture
def posts():
    return []


@pytest.fixture(autouse=True)
def no_gateway(monkeypatch, posts):
    """Posts are remembered. Nobody is there to take them."""

    async def send(self, connection_id, message, /, *, replaces=None, final=False):
        posts.append((self._endpoint, json.loads(message)))

    monkeypatch.setattr("streamer_aws.connections.manager.ApiGatewayConnections.send", send)
    monkeypatch.delenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", raising=False)


def event(kind="MESSAGE", **message):
    made = websocket_event("x")
    made["body"] = json.dumps(message)
    made["requestContext"] |= {"eventType": kind, "apiId": "abc", "stage": "live"}
    return made


async def test_a_connection_begins_speaks_and_ends(sandbox, posts):
    assert (await sandbox.connect(event("CONNECT"), Context()))["statusCode"] == 200
    assert await sandbox.default(event(action="echo", id="r1", payload=1), Context()) == {"statusCode": 200}
    assert await sandbox.disconnect(event("DISCONNECT"), Context()) == {"statusCode": 200}
    ((endpoint, message),) = posts
    assert endpoint == "https://abc.execute-api.eu-central-1.amazonaws.com/live"
    assert message["data"]["echo"] == 1


async def test_a_queued_request_is_acknowledged_run_and_told(sandbox, posts):
    await sandbox.connect(event("CONNECT"), Context())
    await sandbox.default(event(action="later", id="r1"), Context())
    owner = f"connection:{event()['requestContext']['connectionId']}"
    body = json.dumps({"owner": owner, "id": "r1", "action": "later"})
    woken = {"Records": [{"messageId": "m", "body": body}]}
    assert await sandbox.processor(woken, Context()) == {"batchItemFailures": []}
    assert [message["type"] for _, message in posts] == ["acknowledgment", "complete"]
    assert await sandbox.sweep({}, Context()) == {"ended": 0, "delivered": 0, "orphaned": 0, "woken": 0}


async def test_what_is_opened_is_opened_once_and_no_task_is_left_between_invocations(sandbox):
    await sandbox.connect(event("CONNECT"), Context())
    await sandbox.default(event(action="echo"), Context())
    await settle()
    before = asyncio.all_tasks()
    runtime, edge = await sandbox.open_runtime(), await sandbox.open_edge()
    for _ in range(2):
        await sandbox.default(event(action="later"), Context())
        await sandbox.processor({"Records": []}, Context())
        await sandbox.sweep({}, Context())
        await settle()
        assert asyncio.all_tasks() == before
    assert (await sandbox.open_runtime(), await sandbox.open_edge()) == (runtime, edge)


async def test_who_may_come_in_and_goes_needs_no_handler_and_no_store(sandbox, monkeypatch):
    def opened(*_arguments, **_more):
        raise AssertionError("the whole service was opened")

    monkeypatch.setattr("streamer.runtime.assembly.open_service", opened)
    await sandbox.connect(event("CONNECT"), Context())
    await sandbox.disconnect(event("DISCONNECT"), Context())


async def test_a_message_of_whom_the_table_does_not_tell_right_now_is_answered(sandbox, posts):
    runtime = await sandbox.open_runtime()

    async def broken(connection_id, /):
        raise StoreUnavailable("not now")

    runtime.connections.connected.get = broken
    assert await sandbox.default(event(action="echo", id="r1"), Context()) == {"statusCode": 200}
    assert await sandbox.default(event(no="action"), Context()) == {"statusCode": 200}
    assert [(message.get("request_id"), message["error"]["code"]) for _, message in posts] == [
        ("r1", "OVERLOADED"),
        (None, "VALIDATION_ERROR"),
    ]


async def test_who_left_is_noted_for_those_requests_that_end_with_it(sandbox, posts, monkeypatch):
    async def active(self, connection_id, /):
        return True

    monkeypatch.setattr("streamer_aws.connections.manager.ApiGatewayConnections.is_active", active)
    await sandbox.connect(event("CONNECT"), Context())
    await sandbox.default(event(action="watched", id="r1"), Context())
    await sandbox.disconnect(event("DISCONNECT"), Context())
    assert (await sandbox.sweep({}, Context()))["orphaned"] == 1
    owner = f"connection:{event()['requestContext']['connectionId']}"
    runtime = await sandbox.open_runtime()
    assert (await runtime.service.store.get((owner, "r1"))).status == "CANCELLED"


async def test_connections_of_one_process_are_no_ground_for_functions(tmp_path):
    path = tmp_path / "streamer.yaml"
    path.write_text(OTHER.format("{store: memory}"))
    with pytest.raises(StartError, match="the connections are 'local'.*use: apigateway"):
        await Sandbox(path, {}).open_edge()


async def test_a_store_of_one_process_is_none_either(tmp_path, ministack):
    path = tmp_path / "streamer.yaml"
    connections = f"{{use: apigateway, region: eu-central-1, endpoint_url: '{ministack}'}}"
    path.write_text(OTHER.format(f"{{store: memory, connections: {connections}}}"))
    sandbox = Sandbox(path, {})
    with pytest.raises(StartError, match="the store is 'memory', which cannot claim the one request"):
        await sandbox.open_runtime()
    await sandbox.close()


async def test_a_broken_file_is_told_as_everywhere(tmp_path):
    path = tmp_path / "streamer.yaml"
    path.write_text("version: 2\n")
    with pytest.raises(ConfigError, match="version"):
        await Sandbox(path).open_runtime()


@pytest.fixture
def functions(monkeypatch):
    """The module of the functions, imported anew, and forgotten again."""
    for name in streamer_aws.ENTRY_POINTS:
        monkeypatch.delitem(vars(streamer_aws), name, raising=False)
    monkeypatch.delitem(sys.modules, "streamer_aws.functions.entry_points", raising=False)
    yield
    module = sys.modules.pop("streamer_aws.functions.entry_points", None)
    if module is not None:
        module._run(module._sandbox.close())
        module._loop.close()
    for name in streamer_aws.ENTRY_POINTS:
        vars(streamer_aws).pop(name, None)


def test_a_function_is_taken_by_its_name_and_opens_the_service_meanwhile(functions, config_file, monkeypatch, posts):
    monkeypatch.setenv("STREAMER_CONFIG", config_file.name)
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(config_file.parent))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    connect, default = streamer_aws.connect, streamer_aws.default
    assert (connect.__name__, default.__name__) == ("connect", "default")
    assert streamer_aws.connect is connect
    assert connect(event("CONNECT"), Context())["statusCode"] == 200
    assert default(event(action="echo", id="r1"), Context()) == {"statusCode": 200}
    assert [message["type"] for _, message in posts] == ["response"]


def test_what_to_thread_runs_belongs_to_its_attempt_in_a_function_too(functions, config_file, monkeypatch):
    monkeypatch.setenv("STREAMER_CONFIG", str(config_file))
    assert streamer_aws.connect
    run = sys.modules["streamer_aws.functions.entry_points"]._run
    # The threads of `LoopThreads`, which knows what outlives its handler.
    assert run(asyncio.to_thread(lambda: threading.current_thread().name)).startswith("streamer-to-thread")


def test_without_a_file_the_functions_say_what_is_missing(functions, monkeypatch):
    monkeypatch.delenv("STREAMER_CONFIG", raising=False)
    with pytest.raises(StartError, match="STREAMER_CONFIG is not set"):
        streamer_aws.sweep  # noqa: B018 - taking the name starts the service


def test_there_are_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        streamer_aws.nothing  # noqa: B018 - as above
    assert streamer_aws.Sandbox is Sandbox


@pytest.fixture
def config_file(ministack, tmp_path):
    """As `config`, for tests without a loop."""
    prefix = f"f-{tmp_path.name[-24:].lower()}-"

    async def make():
        from streamer_aws.dynamodb.clients import connect

        async with connect("eu-central-1", ministack) as client:
            for one in [*requests({"prefix": prefix}), *sockets({"prefix": prefix})]:
                await tables.create(client, one, SystemClock())

    asyncio.run(make())
    path = tmp_path / "aws.yaml"
    path.write_text(CONFIG.format(prefix=prefix, url=ministack))
    return path


async def test_what_runs_in_a_sandbox_that_is_killed_ends_and_writes_nothing(sandbox, dynamodb, posts):
    await sandbox.connect(event("CONNECT"), Context())
    await sandbox.default(event(action="later", id="r1"), Context())
    owner = f"connection:{event()['requestContext']['connectionId']}"
    opened = await sandbox.open_runtime()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def runs(_request):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    route = opened.service.router.routes["later"]
    opened.service.worker.routes["later"] = replace(route, pipeline=compose(HandlerFunc(runs), ()))
    body = json.dumps({"owner": owner, "id": "r1", "action": "later"})
    invocation = asyncio.create_task(sandbox.processor({"Records": [{"messageId": "m", "body": body}]}, Context()))
    await begun.wait()
    calls = opened.service.store._calls
    invocation.cancel()
    await asyncio.gather(invocation, return_exceptions=True)
    await sandbox.kill()
    assert ended.is_set()
    assert opened.service.worker.running == {}
    assert calls._under_way == 0
    assert [message["type"] for _, message in posts] == ["acknowledgment"]
    key = {"owner": {"S": owner}, "id": {"S": "r1"}}
    stands = await dynamodb.get_item(TableName=calls.table, Key=key, ConsistentRead=True)
    assert stands["Item"]["status"]["S"] == "PROCESSING"
