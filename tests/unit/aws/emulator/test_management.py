"""`@connections`, called by the SDK that calls it in production."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from streamer.testing import ManualClock
from streamer_aws.emulator.resources import client as new_client

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=emulated"}


@pytest.fixture
async def sdk():
    """Posts through the real SDK, of a gateway."""
    import contextlib

    async with contextlib.AsyncExitStack() as stack:
        yield lambda gateway: stack.enter_async_context(
            new_client("apigatewaymanagementapi", "eu-central-1", f"{gateway.http}/dev")
        )


async def connected(gateway, handlers):
    client = await gateway.open()
    return client, handlers.events["connect"][-1]["requestContext"]["connectionId"]


def code_of(problem):
    return problem.value.response["Error"]["Code"], problem.value.response["ResponseMetadata"]["HTTPStatusCode"]


async def test_a_post_reaches_its_client_and_only_it(serve, handlers, sdk):
    gateway = await serve()
    api = await sdk(gateway)
    one, first = await connected(gateway, handlers)
    other, second = await connected(gateway, handlers)
    await api.post_to_connection(ConnectionId=first, Data=b'{"to": "one"}')
    await api.post_to_connection(ConnectionId=second, Data='{"to": "other ✓"}'.encode())
    assert await one.recv() == '{"to": "one"}'
    assert await other.recv() == '{"to": "other ✓"}'


async def test_a_post_inside_connect_is_gone(serve, handlers, sdk):
    gateway = await serve()
    api = await sdk(gateway)
    seen = []

    async def answer(event):
        with pytest.raises(ClientError) as problem:
            await api.post_to_connection(ConnectionId=event["requestContext"]["connectionId"], Data=b"{}")
        seen.append(code_of(problem))
        return {"statusCode": 200}

    handlers.answers["connect"] = answer
    await gateway.open()
    assert seen == [("GoneException", 410)]


@pytest.mark.parametrize("operation", ["post_to_connection", "get_connection", "delete_connection"])
async def test_after_the_end_everything_is_gone(serve, handlers, sdk, operation):
    gateway = await serve()
    api = await sdk(gateway)
    client, name = await connected(gateway, handlers)
    await client.close()
    await handlers.until("disconnect", 1)
    with pytest.raises(ClientError) as problem:
        await getattr(api, operation)(
            ConnectionId=name, **({"Data": b"x"} if operation == "post_to_connection" else {})
        )
    assert code_of(problem) == ("GoneException", 410)


async def test_get_tells_of_the_connection(serve, handlers, sdk):
    gateway = await serve()
    api = await sdk(gateway)
    _, name = await connected(gateway, handlers)
    told = await api.get_connection(ConnectionId=name)
    assert told["Identity"]["SourceIp"] == "127.0.0.1"
    assert "websockets" in told["Identity"]["UserAgent"]
    context = handlers.events["connect"][0]["requestContext"]
    assert told["ConnectedAt"] == datetime.fromtimestamp(context["connectedAt"] / 1000, UTC)
    assert told["LastActiveAt"] >= told["ConnectedAt"]


async def test_get_tells_no_agent_where_there_is_none(serve, handlers, sdk):
    gateway = await serve()
    api = await sdk(gateway)
    await gateway.open(user_agent_header=None)
    name = handlers.events["connect"][-1]["requestContext"]["connectionId"]
    assert (await api.get_connection(ConnectionId=name))["Identity"] == {"SourceIp": "127.0.0.1"}


async def test_delete_closes_the_connection(serve, handlers, sdk):
    gateway = await serve()
    api = await sdk(gateway)
    client, name = await connected(gateway, handlers)
    await api.delete_connection(ConnectionId=name)
    await client.wait_closed()
    assert client.close_code == 1000
    await handlers.until("disconnect", 1)


async def test_a_post_has_a_largest_size(serve, handlers, sdk):
    gateway = await serve()
    api = await sdk(gateway)
    client, name = await connected(gateway, handlers)
    await api.post_to_connection(ConnectionId=name, Data=b"x" * 128 * 1024)
    assert len(await client.recv()) == 128 * 1024
    with pytest.raises(ClientError) as problem:
        await api.post_to_connection(ConnectionId=name, Data=b"x" * (128 * 1024 + 1))
    assert code_of(problem) == ("PayloadTooLargeException", 413)


async def test_a_post_that_is_no_text_is_refused(serve, handlers, sdk):
    gateway = await serve()
    api = await sdk(gateway)
    _, name = await connected(gateway, handlers)
    with pytest.raises(ClientError) as problem:
        await api.post_to_connection(ConnectionId=name, Data=b"\xff")
    assert code_of(problem)[1] == 400


async def test_posts_count_against_the_same_rate_as_messages(serve, handlers, sdk):
    clock = ManualClock()
    gateway = await serve(requests=2, clock=clock)
    api = await sdk(gateway)
    client, name = await connected(gateway, handlers)
    await client.send("{}")
    await handlers.until("default", 1)
    await api.post_to_connection(ConnectionId=name, Data=b"1")
    with pytest.raises(ClientError) as problem:
        await api.post_to_connection(ConnectionId=name, Data=b"2")
    assert code_of(problem) == ("LimitExceededException", 429)
    await clock.advance(1)
    await api.post_to_connection(ConnectionId=name, Data=b"3")
    assert [await client.recv(), await client.recv()] == ["1", "3"]


async def test_a_client_that_does_not_read_fills_its_buffer(serve, handlers, sdk):
    gateway = await serve(client_buffer=10_000)
    api = await sdk(gateway)
    client, name = await connected(gateway, handlers)
    client.transport.pause_reading()

    async def flood():
        for _ in range(1000):
            await api.post_to_connection(ConnectionId=name, Data=b"x" * 100_000)

    with pytest.raises(ClientError) as problem:
        await flood()
    assert code_of(problem) == ("LimitExceededException", 429)
    client.transport.abort()


async def test_the_id_must_be_encoded_once(serve, handlers):
    gateway = await serve()
    client, name = await connected(gateway, handlers)
    place = f"{gateway.http}/dev/@connections/"
    for written, status in ((name.replace("=", "%3D"), 200), (name, 200), (name.replace("=", ""), 400)):
        async with gateway.session.post(place + written, data=b"{}", headers=SIGNED) as answer:
            assert answer.status == status
    import yarl

    twice = yarl.URL(place + name.replace("=", "%253D"), encoded=True)
    async with gateway.session.post(twice, data=b"{}", headers=SIGNED) as answer:
        assert answer.status == 400
        assert answer.headers["x-amzn-ErrorType"] == "BadRequestException"
    del client


async def test_a_call_that_is_not_signed_is_refused(serve, handlers):
    gateway = await serve()
    _, name = await connected(gateway, handlers)
    for method in ("POST", "GET", "DELETE"):
        async with gateway.session.request(method, f"{gateway.http}/dev/@connections/{name}") as answer:
            assert answer.status == 403


async def test_gone_and_too_fast_on_demand(serve, handlers, sdk, faults):
    gateway = await serve()
    api = await sdk(gateway)
    client, name = await connected(gateway, handlers)
    for fault, code in (("gone", "GoneException"), ("too_fast", "LimitExceededException")):
        faults.plan(fault, subject=name)
        with pytest.raises(ClientError) as problem:
            await api.post_to_connection(ConnectionId=name, Data=b"no")
        assert code_of(problem)[0] == code
    await api.post_to_connection(ConnectionId=name, Data=b"yes")
    assert await client.recv() == "yes"


async def test_a_duplicate_post_on_demand(serve, handlers, sdk, faults):
    gateway = await serve()
    api = await sdk(gateway)
    client, name = await connected(gateway, handlers)
    faults.plan("duplicate_post")
    await api.post_to_connection(ConnectionId=name, Data=b"1")
    await api.post_to_connection(ConnectionId=name, Data=b"2")
    assert [await client.recv() for _ in range(3)] == ["1", "1", "2"]


async def test_faults_are_asked_for_over_http(serve, handlers, sdk, faults):
    gateway = await serve()
    place = f"{gateway.http}/_emulator/faults"
    async with gateway.session.post(place, json={"fault": "gone", "count": 2, "subject": "x"}) as answer:
        assert (await answer.json())["planned"] == [
            {"fault": "gone", "count": 2, "share": 1.0, "subject": "x", "after": 0.0}
        ]
    async with gateway.session.get(place) as answer:
        assert (await answer.json())["happened"] == {}
    async with gateway.session.delete(place) as answer:
        assert (await answer.json())["planned"] == []


@pytest.mark.parametrize("body", ["", "[]", '{"fault": "no"}', '{"fault": "gone", "count": 0}', '{"kind": "gone"}'])
async def test_a_fault_that_is_described_wrongly_is_told_so(serve, body):
    gateway = await serve()
    async with gateway.session.post(f"{gateway.http}/_emulator/faults", data=body) as answer:
        assert answer.status == 400
        assert json.loads(await answer.read())["message"]


async def test_a_head_that_comes_in_pieces_is_read(serve):
    gateway = await serve()
    host, port = gateway.gateway.domain.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for part in (b"GET /_emulator/faults HTTP/1.1\r\n", b"Host: x\r\nConnection: close\r\n", b"\r\n"):
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    assert b"200 OK" in await reader.read()
    writer.close()


async def test_a_head_without_an_end_is_refused(serve):
    gateway = await serve()
    host, port = gateway.gateway.domain.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
    assert b" 400 " in await reader.readline()
    writer.close()
