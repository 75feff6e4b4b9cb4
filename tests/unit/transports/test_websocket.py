"""The handshake over real sockets, the start and the end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamer.config.settings import ServerSettings, TlsSettings
from streamer.core.clock import SystemClock
from streamer.core.errors import StartError
from streamer.core.units import Rate
from streamer.testing import ManualClock
from streamer.transports.websocket import WebSocketTransport

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_client_connects_is_known_and_is_forgotten(serve, eventually):
    server = await serve()
    client = await server.connect()
    (peer,) = server.peers
    assert peer.owner == f"connection:{peer.id}"
    assert peer.running == 0
    assert await server.registry.is_active(peer.id)
    await client.close()
    await eventually(lambda: bool(server.receiver.ended))
    assert server.registry.removed == server.receiver.ended == [peer]
    assert not await server.registry.is_active(peer.id)


async def test_a_client_id_makes_the_owner(serve):
    server = await serve()
    for client_id in ("s%C3%A9cret", "s%C3%A9cret", "another"):
        await server.connect(f"/ws?client_id={client_id}")
    mine, mine_too, another = [peer.owner for peer in server.peers]
    assert mine == mine_too != another
    assert mine.startswith("client:")
    assert "cret" not in mine


@pytest.mark.parametrize(
    "query", ["client_id=", "client_id=" + "x" * 129, "client_id=a&client_id=b", "client_id=a%00b", "client_id=%FF"]
)
async def test_a_client_id_that_breaks_the_rules_is_refused(serve, query):
    server = await serve()
    with pytest.raises(InvalidStatus) as refusal:
        await server.connect(f"/ws?{query}")
    assert refusal.value.response.status_code == 400
    assert not server.peers


async def test_health_is_told_on_the_same_port(serve):
    server = await serve()
    assert (await server.http(HEALTH))[::2] == (200, b"ok\n")
    server.transport.begin_drain()
    status, headers, body = await server.http(HEALTH)
    assert (status, body) == (503, b"draining\n")
    assert headers[b"cache-control"] == b"no-store"


async def test_other_paths_are_not_found_and_told_the_right_one(serve, upgrade):
    server = await serve(path="/socket")
    status, _, body = await server.http(upgrade("/ws"))
    assert status == 404
    assert b"/socket" in body


async def test_a_browser_that_opens_the_address_is_told_to_upgrade(serve, upgrade):
    server = await serve()
    status, headers, _ = await server.http(upgrade(Upgrade=None, Connection=None))
    assert status == 426
    assert headers[b"upgrade"] == b"websocket"


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /ws HTTP/1.1\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET ws HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_a_malformed_request_is_a_bad_request(serve, request_):
    server = await serve()
    assert (await server.http(request_))[0] == 400


@pytest.mark.parametrize("key", [None, "short", "not base64!"])
async def test_an_upgrade_without_a_proper_key_is_a_bad_request(serve, upgrade, key):
    server = await serve()
    assert (await server.http(upgrade(Sec_WebSocket_Key=key)))[0] == 400
    assert not server.peers


async def test_a_connection_header_may_hold_more_than_the_upgrade(serve, upgrade):
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
    writer.write(upgrade(Connection="keep-alive, Upgrade"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 101")
    writer.close()


async def test_a_connection_header_without_the_upgrade_is_a_bad_request(serve, upgrade):
    server = await serve()
    assert (await server.http(upgrade(Connection="keep-alive")))[0] == 400


async def test_origins_are_judged(serve):
    server = await serve(allowed_origins=("https://good.example",))
    with pytest.raises(InvalidStatus) as refusal:
        await server.connect(origin="https://bad.example")
    assert refusal.value.response.status_code == 403
    await server.connect(origin="https://good.example")
    await server.connect()
    assert len(server.peers) == 2


async def test_one_connection_too_many_is_told_to_come_back(serve, eventually):
    server = await serve(max_connections=1)
    first = await server.connect()
    with pytest.raises(InvalidStatus) as refusal:
        await server.connect()
    assert refusal.value.response.status_code == 429
    assert refusal.value.response.headers["Retry-After"] == "1"
    await first.close()
    await eventually(lambda: bool(server.receiver.ended))
    await server.connect()


async def test_a_client_that_never_asks_is_cut_after_the_handshake_timeout(serve):
    server = await serve(handshake_timeout=0.05)
    assert await server.http(b"GET /ws HTTP/1.1\r\n") == (0, {}, b"")


async def test_headers_without_end_are_refused_at_their_limit(serve):
    server = await serve()
    assert (await server.http(b"GET /ws HTTP/1.1\r\n" + b"A: b\r\n" * 10_000))[0] == 431


async def test_a_message_right_behind_the_handshake_is_not_lost(serve, upgrade, frame, eventually):
    server = await serve()
    _, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
    writer.write(upgrade() + frame(b"early"))
    await eventually(lambda: server.receiver.frames == [b"early"])
    writer.close()


# Start


async def start_error(**settings) -> str:
    nobody = None
    transport = WebSocketTransport(
        ServerSettings(**settings), receiver=_Nobody(), registry=_Nobody(), clock=SystemClock(), logger=nobody
    )
    with pytest.raises(StartError) as error:
        await transport.start()
    await transport.close()
    assert "\n" not in str(error.value)
    return str(error.value)


class _Nobody:
    """Never called: nothing can connect to what does not start."""

    receive = disconnected = add = remove = None


async def test_a_port_that_is_taken_is_told_in_one_line(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = await start_error(port=port)
    assert f"port {port} on 127.0.0.1 is already in use" in message


async def test_an_unknown_host_is_told_in_one_line():
    assert "no-such-host.invalid" in await start_error(host="no-such-host.invalid", port=0)


async def test_an_address_of_another_machine_is_told_in_one_line():
    assert "192.0.2.1" in await start_error(host="192.0.2.1", port=0)


async def test_closing_what_was_not_started_does_nothing():
    transport = WebSocketTransport(
        ServerSettings(), receiver=_Nobody(), registry=_Nobody(), clock=SystemClock(), logger=None
    )
    await transport.close()
    assert transport.port == 8080


# TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> TlsSettings:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run(
            [*request, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("the openssl command, which makes the certificate, is not installed")
    return TlsSettings(cert=cert, key=key)


async def test_tls_is_spoken(serve, certificate):
    server = await serve(tls=certificate)
    server.receiver.answer = lambda peer, message: peer.send(message * 10_000)
    context = ssl.create_default_context(cafile=certificate.cert)
    async with connect(f"wss://{server.address}/ws", ssl=context, proxy=None) as client:
        await client.send("secret")
        assert await client.recv() == "secret" * 10_000


async def test_a_client_without_tls_does_not_get_in(serve, certificate, upgrade):
    server = await serve(tls=certificate)
    assert (await server.http(upgrade()))[0] == 0
    assert not server.peers


@pytest.mark.parametrize("missing", ["cert", "key"])
async def test_a_certificate_that_is_missing_is_told_by_name(certificate, missing):
    paths = {"cert": certificate.cert, "key": certificate.key, missing: Path("/nowhere/file.pem")}
    assert "/nowhere/file.pem" in await start_error(port=0, tls=TlsSettings(**paths))


async def test_a_certificate_that_is_none_is_told_in_one_line(certificate, tmp_path):
    (tmp_path / "cert.pem").write_text("not a certificate")
    message = await start_error(port=0, tls=TlsSettings(cert=tmp_path / "cert.pem", key=certificate.key))
    assert str(tmp_path / "cert.pem") in message


async def test_an_encrypted_key_is_told_instead_of_asked_about(certificate, tmp_path):
    key = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:word", "-in", certificate.key, "-out", key],
        check=True,
        capture_output=True,
    )
    assert str(key) in await start_error(port=0, tls=TlsSettings(cert=certificate.cert, key=key))


# The end


async def test_close_tells_every_client_to_come_back_after_what_was_queued(serve):
    server = await serve()
    clients = [await server.connect() for _ in range(3)]
    for peer in server.peers:
        for number in range(10):
            peer.send(b"%d" % number)
    await server.transport.close()
    for client in clients:
        assert [await client.recv() for _ in range(10)] == [str(number) for number in range(10)]
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 3001
        assert closed.value.rcvd.reason == "the service is shutting down; connect again"
    assert len(server.receiver.ended) == len(server.registry.removed) == 3
    with pytest.raises(OSError):
        await server.connect()


async def test_close_ends_though_a_client_never_answers(serve):
    server = await serve()
    client = await server.raw()
    await server.transport.close()
    assert await client.close_code() == 3001
    assert server.receiver.ended == server.peers
    await server.transport.close()


async def test_a_drain_refuses_new_clients_and_keeps_the_old(serve):
    server = await serve()
    server.receiver.answer = lambda peer, message: peer.send(message)
    old = await server.connect()
    server.transport.begin_drain()
    with pytest.raises(InvalidStatus) as refusal:
        await server.connect()
    assert refusal.value.response.status_code == 503
    await old.send("still here")
    assert await old.recv() == "still here"


async def test_a_connection_that_only_sends_nonsense_is_closed_in_the_end(serve):
    clock = ManualClock()
    server = await serve(clock, refused_limit=Rate(3, 60.0))
    server.receiver.answer = lambda peer, frame: (peer.send(b"refused"), peer.refused())
    patient, hasty = await server.connect(), await server.connect()
    for _ in range(3):
        await hasty.send("nonsense")
        assert await hasty.recv() == "refused"
        await patient.send("nonsense")
        assert await patient.recv() == "refused"
    # One more in a third of the time is within the limit.
    await clock.advance(20)
    await patient.send("nonsense")
    assert await patient.recv() == "refused"
    for _ in range(5):
        await hasty.send("nonsense")
    assert [await hasty.recv() for _ in range(2)] == ["refused"] * 2
    with pytest.raises(ConnectionClosed) as ended:
        await hasty.recv()
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1008, "too many invalid messages")
    [(level, _, fields)] = server.log.lines
    assert (level, fields["connection_id"]) == ("warning", server.peers[1].id)
    # Closed once: what is refused afterwards changes nothing.
    server.peers[1].refused()
    assert len(server.log.lines) == 1


async def test_one_message_alone_is_never_too_many_however_many_rules_it_broke(serve):
    server = await serve(refused_limit=Rate(3, 60.0))
    server.receiver.answer = lambda peer, frame: (peer.send(b"refused"), peer.refused(100))
    client = await server.connect()
    await client.send("wrong in a hundred places")
    assert await client.recv() == "refused"
    await client.send("and again")
    assert await client.recv() == "refused"
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert client.close_code == 1008


async def test_what_looks_after_the_connections_does_not_fail_in_silence(serve):
    server = await serve()
    transport = server.transport
    failing = asyncio.create_task(transport.failed())
    await asyncio.sleep(0)
    assert not failing.done()
    broken = asyncio.get_running_loop().create_future()
    transport._heartbeat.cancel()
    transport._heartbeat = broken
    failing.cancel()
    failing = asyncio.create_task(transport.failed())
    broken.set_exception(ValueError("a fault"))
    with pytest.raises(ValueError, match="a fault"):
        await failing


async def test_a_service_that_looks_for_nothing_has_nothing_that_fails(serve):
    server = await serve(ping_interval=0, idle_timeout=0)
    failing = asyncio.create_task(server.transport.failed())
    await asyncio.wait([server.transport._heartbeat])
    await asyncio.sleep(0)
    assert not failing.done()
    failing.cancel()
