"""Promises of the connection itself: how it opens, how it fails to, and how it ends."""

from __future__ import annotations

import asyncio
import http
import shutil
import ssl
import subprocess

import msgspec
import pytest
from websockets.frames import Frame, Opcode

from streamer.client import ConnectionFailed, ConnectionLost, MessageTooLarge, StreamerClient
from streamer.core.parts import split


async def raw_server(talk):
    """A TCP server for what no WebSocket library would say. `talk(reader, writer)` is given each connection."""

    async def serve(reader, writer):
        await talk(reader, writer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def test_a_message_in_fragments_is_put_together(fake):
    async def script(service):
        request = await service.receive()
        await service.connection.ping()
        await service.connection.send(
            iter(['{"type":"response",', f'"request_id":"{request["id"]}",', '"success":true,"data":"whole"}'])
        )

    async with StreamerClient(await fake(script)) as client:
        assert await client.request("do") == "whole"


async def test_fragments_over_the_limit_end_the_request(fake):
    async def script(service):
        await service.receive()
        await service.connection.send(iter(["x" * 600] * 3))

    async with StreamerClient(await fake(script), max_message_size=1000) as client:
        with pytest.raises(MessageTooLarge, match="exceeds the 1,000 bytes of one message that this client accepts"):
            await client.request("do")


async def test_a_message_in_parts_is_put_together_whatever_comes_between_and_twice(fake):
    async def script(service):
        long, short = await service.receive(), await service.receive()
        whole = {"type": "response", "request_id": long["id"], "success": True, "data": "ü€" * 5000}
        parts = split(msgspec.json.encode(whole), 3000)
        for part in parts[:-1]:
            await service.connection.send([part.decode()])
            await service.connection.send([part.decode()])
        await service.answer(short, "between")
        await service.connection.send([parts[-1].decode()])

    async with StreamerClient(await fake(script)) as client:
        first = asyncio.create_task(client.request("do", 1))
        await asyncio.sleep(0)
        assert await client.request("do", 2) == "between"
        assert await first == "ü€" * 5000


async def test_parts_over_the_limit_end_their_request_alone(fake):
    async def script(service):
        request = await service.receive()
        whole = {"type": "response", "request_id": request["id"], "success": True, "data": "x" * 9000}
        for part in split(msgspec.json.encode(whole), 3000):
            await service.connection.send([part.decode()])
        await service.answer(await service.receive(), "small")

    async with StreamerClient(await fake(script), max_message_size=4000, reconnect=False) as client:
        with pytest.raises(MessageTooLarge, match="exceeds the 4,000 bytes"):
            await client.request("do")
        assert await client.request("do") == "small"


def split_off(index):
    return msgspec.json.encode(
        {"type": "part", "part_of": "x", "index": index, "count": 4, "data": "x" * 2000}
    ).decode()


async def test_parts_over_the_limit_that_name_no_request_end_the_connection(fake):
    async def script(service):
        await service.receive()
        for index in range(3):
            await service.connection.send([split_off(index)])

    async with StreamerClient(await fake(script), max_message_size=4000) as client:
        with pytest.raises(MessageTooLarge, match="exceeds the 4,000 bytes"):
            await client.request("do")


@pytest.mark.parametrize("letters", [10, 40_000, 64 * 1024 - 69, 100_000])
async def test_no_frame_is_longer_than_api_gateway_takes(fake, letters):
    async def script(service):
        request = await service.receive()
        await service.answer(request, len(request["payload"]))

    async with StreamerClient(await fake(script, max_size=(200_000, 32 * 1024)), reconnect=False) as client:
        assert await client.request("do", "x" * letters) == letters


@pytest.mark.parametrize("reconnect", [True, False])
async def test_a_frame_over_the_limit_ends_the_request(fake, reconnect):
    async def script(service):
        await service.receive()
        await service.connection.send("x" * 2000)

    async with StreamerClient(await fake(script), max_message_size=1000, reconnect=reconnect) as client:
        with pytest.raises(MessageTooLarge) as too_large:
            await client.request("do", id="r")
    assert (too_large.value.request_id, too_large.value.limit, too_large.value.sent) == ("r", 1000, None)


async def test_a_continuation_of_nothing_is_ignored(fake):
    async def script(service):
        request = await service.receive()
        stray = Frame(Opcode.CONT, b"stray").serialize(mask=False)
        service.connection.transport.write(stray)
        await service.answer(request, "fine")

    async with StreamerClient(await fake(script)) as client:
        assert await client.request("do") == "fine"


async def test_a_frame_against_the_protocol_ends_the_connection(fake):
    async def script(service):
        await service.receive()
        service.connection.transport.write(Frame(Opcode.TEXT, b"{}").serialize(mask=True))

    async with StreamerClient(await fake(script), reconnect=False) as client:
        with pytest.raises(ConnectionLost, match="masked frame"):
            await client.request("do")


async def test_a_close_without_a_code_is_1005(fake):
    async def script(service):
        await service.receive()
        service.connection.transport.write(Frame(Opcode.CLOSE, b"").serialize(mask=False))

    async with StreamerClient(await fake(script), reconnect=False) as client:
        with pytest.raises(ConnectionLost) as lost:
            await client.request("do")
    assert lost.value.code == 1005


async def test_a_server_that_closes_right_after_the_upgrade_leaves_no_open_client(fake):
    async def script(service):
        await service.connection.close(1013, "try again later")

    async with StreamerClient(await fake(script), reconnect=False) as client:
        with pytest.raises(ConnectionLost, match="1013 try again later"):
            await client.request("do")


async def test_silence_is_tested_by_a_ping_and_a_peer_that_does_not_answer_is_lost():
    async def deaf(reader, writer):
        key = next(line for line in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n") if b"-Key:" in line)
        from websockets.utils import accept_key

        accept = accept_key(key.partition(b": ")[2].decode())
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        await reader.read()

    async with await raw_server(deaf) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        async with StreamerClient(url, ping_interval=0.02, reconnect=False) as client:
            with pytest.raises(ConnectionLost, match="has not replied to ping"):
                await client.request("do")


async def test_a_peer_that_answers_pings_is_kept(fake):
    pinged = asyncio.Event()

    async def script(service):
        request = await service.receive()
        await pinged.wait()
        await service.answer(request, "fine")

    def count(connection):
        pong = connection.protocol.recv_frame

        def seen(frame):
            if frame.opcode is Opcode.PING:
                pinged.set()
            pong(frame)

        connection.protocol.recv_frame = seen

    async def counted(service):
        count(service.connection)
        await script(service)

    async with StreamerClient(await fake(counted), ping_interval=0.02) as client:
        assert await client.request("do") == "fine"


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (401, {}, "", "the server refused with 401 Unauthorized"),
        (429, {}, "too many\n", "429 Too Many Requests: too many"),
        (302, {"Location": "ws://elsewhere/ws"}, "", "it redirects to ws://elsewhere/ws"),
    ],
)
async def test_a_refused_upgrade_says_the_status_and_the_servers_words(fake, status, headers, body, said):
    def refuse(connection, request):
        response = connection.respond(http.HTTPStatus(status), body)
        response.headers.update(headers)
        return response

    async def never(service):
        pass

    client = StreamerClient(await fake(never, process_request=refuse))
    with pytest.raises(ConnectionFailed, match=said) as failed:
        await client.connect()
    assert failed.value.status == status


async def test_a_server_that_is_no_websocket_server_is_named_as_such():
    async def smtp(reader, writer):
        writer.write(b"220 mail ESMTP\r\n\r\n")
        await writer.drain()

    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")

    for talk in (smtp, hang_up):
        async with await raw_server(talk) as server:
            client = StreamerClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws")
            with pytest.raises(ConnectionFailed, match=r"is it a WebSocket server\?") as failed:
                await client.connect()
            assert failed.value.status is None


async def test_a_server_that_never_answers_the_upgrade_is_given_up():
    async def silent(reader, writer):
        await reader.read()

    async with await raw_server(silent) as server:
        client = StreamerClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws", open_timeout=0.02)
        with pytest.raises(ConnectionFailed, match=r"no answer within 0\.02 s"):
            await client.connect()


async def test_a_name_that_does_not_resolve_is_a_failed_connection():
    client = StreamerClient("ws://no-such-host.invalid/ws")
    with pytest.raises(ConnectionFailed, match=r"ws://no-such-host\.invalid/ws: "):
        await client.connect()


def test_a_header_that_is_no_string_is_refused_before_anything_is_sent():
    with pytest.raises(TypeError, match="'X-Count' must be strings"):
        StreamerClient("ws://127.0.0.1:1/ws", headers={"X-Count": 5})


async def test_closing_does_not_wait_for_ever_for_a_peer_that_says_no_goodbye(monkeypatch):
    monkeypatch.setattr("streamer.client.client_socket._CLOSE_TIMEOUT", 0.02)

    async def rude(reader, writer):
        key = next(line for line in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n") if b"-Key:" in line)
        from websockets.utils import accept_key

        accept = accept_key(key.partition(b": ")[2].decode())
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        await reader.read()

    async with await raw_server(rude) as server:
        client = StreamerClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws")
        await client.connect()
        await client.close()
        assert not client.connected


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody has signed but itself, with its key in the same file."""
    made = tmp_path / "tls.pem"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    openssl = shutil.which("openssl")
    assert openssl, "the openssl program is needed to make a certificate"
    subprocess.run(
        [openssl, *command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made, "-out", tmp_path / "c"],
        check=True,
        capture_output=True,
    )
    with made.open("ab") as whole:
        whole.write((tmp_path / "c").read_bytes())
    return made


async def test_a_secure_connection_trusts_whom_its_context_trusts_and_nobody_else(fake, certificate):
    async def script(service):
        await service.answer(await service.receive(), "secret")

    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate)
    url = (await fake(script, ssl=server_side)).replace("ws://", "wss://")
    async with StreamerClient(url, ssl=ssl.create_default_context(cafile=certificate)) as client:
        assert await client.request("do") == "secret"
    with pytest.raises(ConnectionFailed, match="certificate"):
        await StreamerClient(url).connect()
