"""Clients of other hands on real sockets: what API Gateway would do to them is done to them here."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamer.testing import ManualClock
from streamer_aws.emulator.functions import FunctionError, Throttled

COMMON = {
    "routeKey",
    "eventType",
    "extendedRequestId",
    "requestTime",
    "messageDirection",
    "stage",
    "connectedAt",
    "requestTimeEpoch",
    "identity",
    "requestId",
    "domainName",
    "connectionId",
    "apiId",
}


async def closed(client):
    """How the gateway ended it."""
    async with asyncio.timeout(90):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as ended:
            return ended.rcvd.code


async def refused(serve_, path="", **options):
    with pytest.raises(InvalidStatus) as problem:
        await serve_.open(path, **options)
    return problem.value.response


async def test_connect_carries_the_headers_and_the_query(serve, handlers):
    gateway = await serve()
    await gateway.open("?a=1&a=2&b=", additional_headers=[("X-Team", "one"), ("X-Team", "two")])
    event = handlers.events["connect"][0]
    assert set(event) == {
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "requestContext",
        "isBase64Encoded",
    }
    assert event["queryStringParameters"] == {"a": "2", "b": ""}
    assert event["headers"]["X-Team"] == "two"
    assert event["multiValueHeaders"]["X-Team"] == ["one", "two"]
    context = event["requestContext"]
    assert set(context) == COMMON
    assert (context["routeKey"], context["eventType"], context["stage"]) == ("$connect", "CONNECT", "dev")
    assert set(context["identity"]) == {"sourceIp", "userAgent"}
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["messageDirection"] == "IN"
    assert context["domainName"] in gateway.url
    assert isinstance(context["connectedAt"], int)
    assert re.fullmatch(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000", context["requestTime"])
    assert context["connectionId"].endswith("=")
    assert len(base64.urlsafe_b64decode(context["connectionId"])) == 11


async def test_without_a_query_and_an_agent_there_are_none(serve, handlers):
    await (await serve()).open(user_agent_header=None)
    event = handlers.events["connect"][0]
    assert "queryStringParameters" not in event
    assert set(event["requestContext"]["identity"]) == {"sourceIp"}


async def test_a_message_has_neither_headers_nor_a_query(serve, handlers):
    client = await (await serve()).open("?token=secret")
    await client.send('{"action": "echo"}')
    event = (await handlers.until("default", 1))[0]
    assert set(event) == {"requestContext", "body", "isBase64Encoded"}
    assert event["body"] == '{"action": "echo"}'
    assert event["isBase64Encoded"] is False
    assert set(event["requestContext"]) == COMMON | {"messageId"}
    assert event["requestContext"]["eventType"] == "MESSAGE"
    assert event["requestContext"]["routeKey"] == "$default"
    first = handlers.events["connect"][0]["requestContext"]
    for same in ("connectionId", "connectedAt", "identity"):
        assert event["requestContext"][same] == first[same]


async def test_a_disconnect_says_why(serve, handlers):
    client = await (await serve()).open()
    await client.close(4001, "bored")
    event = (await handlers.until("disconnect", 1))[0]
    assert set(event) == {"requestContext", "isBase64Encoded"}
    assert set(event["requestContext"]) == COMMON | {"disconnectStatusCode", "disconnectReason"}
    assert event["requestContext"]["disconnectStatusCode"] == 4001
    assert event["requestContext"]["disconnectReason"] == "bored"


async def test_a_client_that_vanishes_is_disconnected_as_abnormal(serve, handlers):
    client = await (await serve()).open()
    client.transport.abort()
    event = (await handlers.until("disconnect", 1))[0]
    assert event["requestContext"]["disconnectStatusCode"] == 1006


async def test_a_disconnect_can_be_lost(serve, handlers, faults):
    gateway = await serve()
    faults.plan("lost_disconnect")
    for _ in range(2):
        await (await gateway.open()).close()
    events = await handlers.until("disconnect", 1)
    second = handlers.events["connect"][1]["requestContext"]["connectionId"]
    assert [event["requestContext"]["connectionId"] for event in events] == [second]


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_connect_decides_by_its_status_code(serve, handlers, status):
    handlers.answers["connect"] = {"statusCode": status, "body": "no"}
    response = await refused(await serve())
    assert response.status_code == status
    assert handlers.events["disconnect"] == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (None, 502),
        ({"statusCode": "200"}, 502),
        ({"statusCode": 302}, 502),
        ({}, 502),
        (FunctionError("ValueError", "x"), 502),
        (Throttled("x"), 429),
    ],
)
async def test_a_connect_that_answers_nothing_sensible_lets_nobody_in(serve, handlers, answer, status):
    handlers.answers["connect"] = answer
    assert (await refused(await serve())).status_code == status


async def test_connect_chooses_the_subprotocol(serve, handlers):
    handlers.answers["connect"] = {"statusCode": 200, "headers": {"sec-websocket-protocol": "bearer", "X-Other": "1"}}
    client = await (await serve()).open(subprotocols=["bearer", "token"])
    assert client.subprotocol == "bearer"
    assert "X-Other" not in client.response.headers


async def test_nothing_is_compressed(serve, handlers):
    gateway = await serve()
    async with connect(gateway.url, compression="deflate") as client:
        assert client.protocol.extensions == []


async def test_another_path_is_forbidden(serve, handlers):
    assert (await refused(await serve(), "/other")).status_code == 403
    assert handlers.events["connect"] == []


async def test_a_url_has_a_longest_length(serve, handlers):
    gateway = await serve(url=200)
    assert (await refused(gateway, "?a=" + "x" * 200)).status_code == 414
    await gateway.open("?a=" + "x" * 100)


async def test_a_url_that_no_parser_takes_is_refused_too(serve):
    assert (await refused(await serve(), "?a=" + "x" * 9000)).status_code == 414


async def test_connections_a_second_are_limited(serve):
    gateway = await serve(connects=2, clock=ManualClock())
    for _ in range(2):
        await gateway.open()
    assert (await refused(gateway)).status_code == 429


async def test_messages_a_second_are_limited(serve, handlers):
    gateway = await serve(requests=2, clock=ManualClock())
    client = await gateway.open()
    for number in range(3):
        await client.send(str(number))
    answer = json.loads(await client.recv())
    assert answer["message"] == "Too Many Requests"
    assert len(await handlers.until("default", 2)) == 2


async def test_an_integration_that_takes_too_long_is_given_up_and_runs_on(serve, handlers):
    clock = ManualClock()
    finished = asyncio.Event()

    async def slow(_event):
        await clock.sleep(40)
        finished.set()

    handlers.answers["default"] = slow
    client = await (await serve(clock=clock)).open()
    await client.send("{}")
    await handlers.until("default", 1)
    await clock.advance(28.9)
    await clock.advance(0.1)
    answer = json.loads(await client.recv())
    assert answer["message"] == "Endpoint request timed out"
    assert answer["connectionId"] == handlers.events["default"][0]["requestContext"]["connectionId"]
    assert answer["requestId"] == handlers.events["default"][0]["requestContext"]["requestId"]
    await clock.advance(11)
    assert finished.is_set()


async def test_a_connect_that_takes_too_long_is_refused(serve, handlers):
    async def slow(_event):
        await asyncio.Event().wait()

    handlers.answers["connect"] = slow
    assert (await refused(await serve(integration_timeout=0.01))).status_code == 504


@pytest.mark.parametrize("problem", [FunctionError("ValueError", "secret"), Throttled("busy")])
async def test_a_function_that_fails_is_an_internal_error_to_the_client(serve, handlers, problem):
    handlers.answers["default"] = problem
    client = await (await serve()).open()
    await client.send("{}")
    assert json.loads(await client.recv())["message"] == "Internal server error"


async def test_an_answers_body_goes_nowhere(serve, handlers):
    client = await (await serve()).open()
    handlers.answers["default"] = {"statusCode": 200, "body": "to nobody"}
    await client.send("1")
    await handlers.until("default", 1)
    handlers.answers["default"] = FunctionError("ValueError", "x")
    await client.send("2")
    assert json.loads(await client.recv())["message"] == "Internal server error"


async def test_messages_of_one_socket_run_at_the_same_time_and_in_no_order(serve, handlers):
    order = []
    second_is_done = asyncio.Event()

    async def answer(event):
        if event["body"] == "1":
            await second_is_done.wait()
        order.append(event["body"])
        second_is_done.set()
        return {"statusCode": 200}

    handlers.answers["default"] = answer
    client = await (await serve()).open()
    await client.send("1")
    await client.send("2")
    async with asyncio.timeout(90):
        while len(order) < 2:
            await asyncio.sleep(0)
    assert order == ["2", "1"]


async def test_a_frame_that_is_too_large_closes_with_1009(serve, handlers):
    client = await (await serve()).open()
    await client.send("x" * 32 * 1024)
    assert len((await handlers.until("default", 1))[0]["body"]) == 32 * 1024
    await client.send("x" * (32 * 1024 + 1))
    assert await closed(client) == 1009
    event = (await handlers.until("disconnect", 1))[0]
    assert event["requestContext"]["disconnectStatusCode"] == 1009
    assert len(handlers.events["default"]) == 1


async def test_a_message_may_have_frames_and_is_limited_as_a_whole(serve, handlers):
    client = await (await serve()).open()
    await client.send(["x" * 32 * 1024] * 4)
    assert len((await handlers.until("default", 1))[0]["body"]) == 128 * 1024
    await client.send([*["x" * 32 * 1024] * 4, "x"])
    assert await closed(client) == 1009


async def test_a_huge_frame_is_refused_by_its_head_and_the_client_can_read_why(serve):
    client = await (await serve()).open()
    with contextlib.suppress(ConnectionClosed):
        await client.send("x" * 300_000)
    assert await closed(client) == 1009


async def test_a_binary_frame_closes_with_1003(serve, handlers):
    client = await (await serve()).open()
    await client.send(b"{}")
    assert await closed(client) == 1003
    assert (await handlers.until("disconnect", 1))[0]["requestContext"]["disconnectStatusCode"] == 1003
    assert handlers.events["default"] == []


async def test_what_is_not_utf8_closes_with_1007(serve, handlers):
    client = await (await serve()).open()
    await client.send(b"\xff\xfe", text=True)
    assert await closed(client) == 1007
    assert handlers.events["default"] == []


async def test_an_idle_connection_is_closed_and_a_frame_keeps_it(serve, handlers):
    clock = ManualClock()
    client = await (await serve(clock=clock)).open()
    await clock.advance(599)
    await client.send("{}")
    await handlers.until("default", 1)
    await clock.advance(599)
    assert handlers.events["disconnect"] == []
    await clock.advance(1)
    assert await closed(client) == 1001
    assert (await handlers.until("disconnect", 1))[0]["requestContext"]["disconnectReason"] == "Going away"


async def test_a_connection_lives_two_hours_whatever_it_does(serve, handlers):
    clock = ManualClock()
    client = await (await serve(clock=clock)).open()
    for number in range(24):
        await client.send("{}")
        await handlers.until("default", number + 1)
        await clock.advance(299.99)
    assert handlers.events["disconnect"] == []
    await clock.advance(1)
    assert await closed(client) == 1001


async def test_pings_are_answered_and_none_is_sent(serve):
    clock = ManualClock()
    client = await (await serve(clock=clock)).open()
    await (await client.ping())
    received = []
    client.protocol.recv_frame, original = (
        lambda frame: (received.append(frame.opcode.name), original(frame)),
        client.protocol.recv_frame,
    )
    await clock.advance(601)
    assert await closed(client) == 1001
    assert received == ["CLOSE"]


async def test_what_a_client_sends_with_its_handshake_is_kept_until_it_is_let_in(serve, handlers):
    gateway = await serve()
    host, port = gateway.gateway.domain.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    frame = bytes([0x81, 0x80 | 2, 0, 0, 0, 0]) + b"{}"
    writer.write(
        f"GET /dev HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        + frame
    )
    assert b" 101 " in await reader.readline()
    assert (await handlers.until("default", 1))[0]["body"] == "{}"
    writer.close()
    await handlers.until("disconnect", 1)


async def test_a_client_that_goes_before_it_is_let_in_is_disconnected(serve, handlers):
    gateway = await serve()
    gone = asyncio.Event()

    async def slow(_event):
        await gone.wait()
        return {"statusCode": 200}

    handlers.answers["connect"] = slow
    host, port = gateway.gateway.domain.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /dev HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await handlers.until("connect", 1)
    writer.transport.abort()
    gone.set()
    assert (await handlers.until("disconnect", 1))[0]["requestContext"]["disconnectStatusCode"] == 1006


HANDSHAKE = (
    b"GET /dev HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GOODBYE = bytes([0x88, 0x80, 0, 0, 0, 0])


@pytest.mark.parametrize(("status", "disconnects"), [(200, 1), (403, 0)])
async def test_a_client_that_says_goodbye_with_its_handshake_is_never_let_in(serve, handlers, status, disconnects):
    handlers.answers["connect"] = {"statusCode": status}
    gateway = await serve()
    host, port = gateway.gateway.domain.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HANDSHAKE + GOODBYE)
    assert await reader.read() == b""
    await handlers.until("connect", 1)
    await handlers.until("disconnect", disconnects)
    assert gateway.gateway.connections == {}
    writer.close()


async def test_a_client_that_does_not_say_goodbye_back_is_hung_up_on(serve, handlers):
    clock = ManualClock()
    gateway = await serve(clock=clock)
    host, port = gateway.gateway.domain.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    await clock.advance(600)
    assert (await reader.readexactly(4))[2:] == (1001).to_bytes(2)
    await handlers.until("disconnect", 1)
    await clock.advance(5)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b"Going away"
    writer.close()


async def test_a_broken_handshake_calls_no_function(serve, handlers):
    gateway = await serve()
    host, port = gateway.gateway.domain.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /dev HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode())
    assert b" 400 " in await reader.readline()
    writer.write(b"more")
    writer.close()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"nonsense\r\nUpgrade: websocket\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    assert handlers.events["connect"] == []
