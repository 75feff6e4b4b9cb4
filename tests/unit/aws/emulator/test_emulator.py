"""The whole, with the emulated DynamoDB and SQS behind it and handlers that use them as the real ones do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json

import aiohttp
import pytest
from websockets.asyncio.client import connect

from streamer.core.clock import SystemClock
from streamer.core.errors import PortInUse
from streamer_aws.emulator.emulator import Plan, open_emulator
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.resources import client

REGION = "eu-central-1"
numbers = itertools.count()


class Service:
    """A service in small: a message is stored and its id queued; the processor answers it and forgets it."""

    def __init__(self, environ):
        self.environ = environ
        self.table = "t-"
        self.stack = contextlib.AsyncExitStack()
        self.clients = {}

    async def client(self, name):
        if name not in self.clients:
            url = self.environ[f"AWS_ENDPOINT_URL_{name.upper()}"]
            self.clients[name] = await self.stack.enter_async_context(client(name, self.environ["AWS_REGION"], url))
        return self.clients[name]

    async def connect(self, event, context):
        return {"statusCode": 200 if event.get("queryStringParameters", {}).get("token") == "good" else 401}

    async def disconnect(self, event, context):
        return {"statusCode": 200}

    async def default(self, event, context):
        dynamodb = await self.client("dynamodb")
        name = event["requestContext"]["messageId"]
        item = {
            "owner": {"S": event["requestContext"]["connectionId"]},
            "id": {"S": name},
            "body": {"S": event["body"]},
        }
        await dynamodb.put_item(TableName=self.environ["TABLE"], Item=item)
        if self.environ["WAKE"] == "sqs":
            sqs = await self.client("sqs")
            body = json.dumps({"owner": item["owner"], "id": item["id"]})
            await sqs.send_message(QueueUrl=self.environ["STREAMER_QUEUE_URL"], MessageBody=body)
        return {"statusCode": 200}

    async def processor(self, event, context):
        dynamodb, api = await self.client("dynamodb"), await self.client("apigatewaymanagementapi")
        for record in event["Records"]:
            key = json.loads(record["body"]) if "body" in record else record["dynamodb"]["Keys"]
            gone = await dynamodb.delete_item(TableName=self.environ["TABLE"], Key=key, ReturnValues="ALL_OLD")
            if "Attributes" in gone:
                body = gone["Attributes"]["body"]["S"]
                await api.post_to_connection(ConnectionId=key["owner"]["S"], Data=body.upper().encode())

    async def sweep(self, event, context):
        dynamodb = await self.client("dynamodb")
        found = await dynamodb.scan(TableName=self.environ["TABLE"])
        records = [{"body": json.dumps({"owner": one["owner"], "id": one["id"]})} for one in found["Items"]]
        await self.processor({"Records": records}, context)

    async def close(self):
        await self.stack.aclose()

    kill = close


@pytest.fixture
async def emulate(ministack, logger, tmp_path):
    """Starts an emulator of a service in small."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**changed):
            prefix = f"emulated-{next(numbers)}-"
            wake = changed.get("wake", "sqs")
            plan = Plan(
                config=tmp_path / "streamer.yaml",
                endpoint_url=ministack,
                region=REGION,
                **{
                    "store": {"prefix": prefix},
                    "handlers": lambda environ: Service({**environ, "TABLE": f"{prefix}requests", "WAKE": wake}),
                    "limits": Limits(queue_wait=1, stream_poll=0.05),
                    **changed,
                },
            )
            return await stack.enter_async_context(open_emulator(plan, clock=SystemClock(), logger=logger))

        yield start


@pytest.mark.parametrize("wake", ["sqs", "streams"])
async def test_a_message_comes_back_through_the_queue_or_the_stream(emulate, wake):
    emulator = await emulate(wake=wake)
    async with connect(f"{emulator.url}?token=good") as one, connect(f"{emulator.url}?token=good") as other:
        await one.send("a")
        await other.send("b")
        async with asyncio.timeout(90):
            assert [await one.recv(), await other.recv()] == ["A", "B"]
    assert emulator.proxy.calls["PutItem"] == 2
    assert emulator.proxy.calls["DeleteItem"] == 2


async def test_sandboxes_know_no_queue_where_a_stream_wakes_the_processor(emulate):
    emulator = await emulate(wake="streams")
    assert "STREAMER_QUEUE_URL" not in emulator.environ


async def test_the_sweep_has_as_long_as_the_template_gives_it(emulate):
    emulator = await emulate()
    assert emulator.functions["sweep"].timeout == 60
    assert emulator.functions["processor"].timeout == 900


async def test_a_wake_up_that_is_lost_is_found_by_the_sweep(emulate):
    emulator = await emulate(limits=Limits(queue_wait=1, sweep_every=0.3))
    emulator.faults.plan("lost_wake_up")
    async with connect(f"{emulator.url}?token=good") as client:
        await client.send("a")
        async with asyncio.timeout(90):
            assert await client.recv() == "A"
    assert emulator.functions["processor"].cold_starts == 0


async def test_faults_are_asked_for_from_outside(emulate):
    emulator = await emulate()
    async with aiohttp.ClientSession() as session, connect(f"{emulator.url}?token=good") as client:
        fault = {"fault": "throttled", "subject": "PutItem"}
        async with session.post(f"{emulator.http_url}/_emulator/faults", json=fault) as answer:
            assert answer.status == 200
        await client.send("a")
        assert json.loads(await client.recv())["message"] == "Internal server error"
        await client.send("b")
        assert await client.recv() == "B"


async def test_a_killed_sandbox_is_an_internal_error_and_the_next_one_works(emulate):
    emulator = await emulate()
    emulator.faults.plan("killed_sandbox", subject="default")
    async with connect(f"{emulator.url}?token=good") as client:
        await client.send("a")
        assert json.loads(await client.recv())["message"] == "Internal server error"
        await client.send("b")
        assert await client.recv() == "B"


async def test_sandboxes_are_told_where_everything_is(emulate, tmp_path):
    emulator = await emulate()
    place = emulator.url.replace("ws://", "http://")
    assert emulator.environ["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] == place
    assert emulator.environ["STREAMER_CONFIG"] == str(tmp_path / "streamer.yaml")
    assert emulator.environ["STREAMER_QUEUE_URL"].startswith("http")
    assert emulator.environ["AWS_REGION"] == REGION
    assert emulator.environ["AWS_ACCESS_KEY_ID"] == "emulated"


async def test_the_end_closes_the_connections(ministack, logger, tmp_path):
    plan = Plan(
        config=tmp_path / "streamer.yaml",
        store={"prefix": "ended-"},
        endpoint_url=ministack,
        handlers=lambda environ: Service({**environ, "TABLE": "ended-requests", "WAKE": "sqs"}),
        limits=Limits(queue_wait=1),
    )
    async with contextlib.AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(open_emulator(plan, clock=SystemClock(), logger=logger))
        client = await connect(f"{emulator.url}?token=good")
        await stack.aclose()
        await client.wait_closed()
        assert client.close_code == 1001


async def test_a_declared_bucket_is_made(emulate, ministack):
    bucket = f"emulated-{next(numbers)}"
    for _ in range(2):
        await emulate(store={"prefix": f"{bucket}-", "bucket": bucket})
    async with client("s3", REGION, ministack) as s3:
        assert bucket in {one["Name"] for one in (await s3.list_buckets())["Buckets"]}


async def test_functions_can_be_real_processes(emulate, tmp_path, monkeypatch):
    pytest.importorskip("awslambdaric", reason="it is not installed")
    code = """
import os, json, urllib.parse, urllib.request

def connect(event, context):
    return {"statusCode": 200}

def default(event, context):
    name = urllib.parse.quote(event["requestContext"]["connectionId"], safe="")
    place = os.environ["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"]
    body = json.dumps([event["body"], os.environ["STREAMER_CONFIG"], os.environ["AWS_LAMBDA_FUNCTION_NAME"]])
    assert "AWS_PROFILE" not in os.environ
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=emulated"}
    with urllib.request.urlopen(urllib.request.Request(f"{place}/@connections/{name}", body.encode(), signed)):
        return {"statusCode": 200}

disconnect = connect
"""
    (tmp_path / "entry_points.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    emulator = await emulate(handlers="entry_points")
    monkeypatch.setenv("AWS_PROFILE", "somebody's")
    async with connect(emulator.url) as client:
        await client.send("a")
        assert json.loads(await client.recv()) == ["a", str(tmp_path / "streamer.yaml"), "default"]


async def test_a_port_that_is_taken_is_told(emulate):
    emulator = await emulate()
    with pytest.raises(PortInUse, match="choose another --port"):
        await emulate(port=int(emulator.http_url.rpartition(":")[2]))
