"""The proxy in front of DynamoDB: transparent, but for the faults that were asked for."""

from __future__ import annotations

import contextlib

import aiohttp
import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from streamer_aws.emulator.resources import client
from streamer_aws.emulator.throttling import Proxy

REGION = "eu-central-1"


@pytest.fixture
async def through(faults):
    """A proxy of that address, and a client that speaks through it."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(target):
            session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
            proxy = Proxy(target, session, faults)
            runner = web.AppRunner(proxy.application(), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return proxy, await stack.enter_async_context(client("dynamodb", REGION, url))

        yield start


async def test_calls_go_through_and_are_counted(through, ministack):
    proxy, dynamodb = await through(ministack)
    names = (await dynamodb.list_tables())["TableNames"]
    assert isinstance(names, list)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        await dynamodb.describe_table(TableName="no-such-table")
    assert proxy.calls == {"ListTables": 1, "DescribeTable": 1}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("throttled", "ProvisionedThroughputExceededException"),
        ("conflict", "TransactionConflictException"),
        ("lost_answer", "InternalServerError"),
    ],
)
async def test_a_call_can_be_refused(through, ministack, faults, fault, code):
    proxy, dynamodb = await through(ministack)
    faults.plan(fault, subject="ListTables")
    with pytest.raises(ClientError) as problem:
        await dynamodb.list_tables()
    assert problem.value.response["Error"]["Code"] == code
    await dynamodb.list_tables()
    assert proxy.calls == {"ListTables": 2}


async def test_what_loses_its_answer_was_done(through, ministack, faults):
    _, dynamodb = await through(ministack)
    faults.plan("lost_answer", subject="CreateTable")
    table = {
        "TableName": "answer-lost",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    with pytest.raises(ClientError):
        await dynamodb.create_table(**table)
    assert "answer-lost" in (await dynamodb.list_tables())["TableNames"]
    await dynamodb.delete_table(TableName="answer-lost")


async def test_a_service_that_is_not_there_is_an_answer_too(through):
    _, dynamodb = await through("http://127.0.0.1:1")
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        await dynamodb.list_tables()
