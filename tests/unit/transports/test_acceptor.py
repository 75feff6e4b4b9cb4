"""Every socket from its first moment."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import subprocess

import pytest

from streamer.config.settings import TlsSettings
from streamer.core.units import Rate
from streamer.transports import acceptor as acceptor_module

LOCAL = "127.0.0.1"


@pytest.fixture
def idle(eventually):
    """Sockets that connect and say nothing (`idle(server, 3)`), closed in the end; and whether one has been ended."""
    opened: list[socket.socket] = []

    async def connect(server, count=1):
        made = []
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (LOCAL, server.transport.port))
            made.append(sock)
        opened.extend(made)
        return made

    yield connect
    for sock in opened:
        sock.close()


def waiting(server):
    return server.transport._acceptor.waiting


async def ended(sock):
    async with asyncio.timeout(90):
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""


async def test_idle_sockets_push_out_the_oldest_of_their_address_and_nobody_else(serve, idle, eventually):
    server = await serve(max_handshakes_per_address=3)
    sockets = await idle(server, 5)
    await ended(sockets[0])
    await ended(sockets[1])
    await eventually(lambda: len(waiting(server)) == 3)
    # One more from the same address still gets in: it is done before it is the oldest.
    await server.connect()
    assert len(server.peers) == 1


async def test_in_all_there_are_no_more_than_may_be(serve, idle, eventually):
    server = await serve(max_handshakes=2)
    first, *_ = await idle(server, 3)
    await ended(first)
    await eventually(lambda: len(waiting(server)) == 2)


async def test_a_handshake_that_is_done_or_broken_off_leaves_its_place(serve, idle, eventually):
    server = await serve()
    [sock] = await idle(server)
    await server.connect()
    assert (await server.http(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
    await eventually(lambda: len(waiting(server)) == 1)
    sock.close()
    await eventually(lambda: len(waiting(server)) == 0)


async def test_a_handshake_has_one_time_however_busily_it_dawdles(serve, eventually):
    server = await serve(handshake_timeout=0.3)
    reader, writer = await asyncio.open_connection(LOCAL, server.transport.port)
    request = iter(b"GET /ws HTTP/1.1\r\n" + b"X-Filler: " + b"a" * 10_000)
    # uvloop's own transports say by a RuntimeError that they have ended.
    with contextlib.suppress(ConnectionError, RuntimeError):
        async with asyncio.timeout(90):
            while not reader.at_eof():
                writer.write(bytes([next(request)]))
                await writer.drain()
                await asyncio.sleep(0.001)
    assert await reader_rest(reader) == b""
    writer.close()
    await eventually(lambda: len(waiting(server)) == 0)


async def reader_rest(reader):
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_the_end_of_the_service_ends_handshakes_too(serve, idle):
    server = await serve()
    sockets = await idle(server, 3)
    await server.http(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await server.transport.close()
    for sock in sockets:
        await ended(sock)


async def test_when_the_system_has_nothing_left_who_only_waits_makes_room(serve, idle, eventually, monkeypatch):
    server = await serve()
    [sock] = await idle(server)
    await eventually(lambda: len(waiting(server)) == 1)
    listening = server.transport._acceptor._listening
    real = listening[0]
    refusals = [OSError(errno.EMFILE, "Too many open files")]

    class Exhausted:
        """A listener that fails once; everything else is the real one's."""

        def accept(self):
            if refusals:
                raise refusals.pop()
            return real.accept()

    server.transport._acceptor._take(Exhausted())
    await ended(sock)
    await server.connect()
    assert server.log.lines == []


async def test_when_nothing_can_be_let_go_it_is_told_and_tried_again(serve, monkeypatch):
    monkeypatch.setattr(acceptor_module, "PAUSE", 0.01)
    server = await serve()

    class Exhausted:
        """A listener that always fails."""

        def accept(self):
            raise OSError(errno.ENFILE, "Too many open files in system")

    server.transport._acceptor._take(Exhausted())
    [(level, event, fields)] = server.log.lines
    assert (level, "no more connections" in event, "Too many open files" in fields["error"]) == ("error", True, True)
    await server.connect()


async def test_it_may_be_closed_while_it_pauses(serve):
    server = await serve()

    class Exhausted:
        """As above."""

        def accept(self):
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

    server.transport._acceptor._take(Exhausted())
    await server.transport.close()


async def test_another_fault_of_the_listener_is_not_hidden(serve):
    server = await serve()

    class Broken:
        """A listener that is none."""

        def accept(self):
            raise OSError(errno.EINVAL, "Invalid argument")

    with pytest.raises(OSError, match="Invalid argument"):
        server.transport._acceptor._take(Broken())


async def test_a_name_with_several_addresses_is_listened_on_at_all_of_them(serve):
    server = await serve(host="localhost")
    for listening in server.transport._acceptor._listening:
        sock = socket.socket(listening.family)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, listening.getsockname()[:2])
        sock.close()


async def test_idle_sockets_are_bounded_over_tls_too(serve, idle, tmp_path, eventually):
    settings = TlsSettings(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", settings.key, "-out", settings.cert]
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    server = await serve(tls=settings, max_handshakes_per_address=2)
    first, second, third = await idle(server, 3)
    await ended(first)
    context = ssl.create_default_context(cafile=settings.cert)
    reader, writer = await asyncio.open_connection(LOCAL, server.transport.port, ssl=context)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await ended(second)
    third.send(b"this is not TLS, and is long enough to be seen as such")
    await ended(third)
    await eventually(lambda: len(waiting(server)) == 0)
    writer.close()


async def test_too_many_of_one_address_are_told_when_to_come_back(serve, upgrade):
    server = await serve(connection_rate=Rate(1, 3600.0))
    assert (await server.http(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
    await server.connect()
    status, headers, body = await server.http(upgrade())
    assert (status, int(headers[b"retry-after"]) > 3000) == (429, True)
    assert b"server.connection_rate" in body


async def test_an_addresses_open_connections_are_counted_until_they_end(serve, upgrade, eventually):
    server = await serve(max_connections_per_address=1)
    client = await server.connect()
    assert (await server.http(upgrade()))[0] == 429
    await client.close()
    await eventually(lambda: not server.transport._shared.peers)
    await server.connect()


async def test_an_owners_connections_are_counted(serve, upgrade):
    server = await serve(max_connections_per_principal=1)
    await server.connect("/ws?client_id=me")
    status, _, body = await server.http(upgrade("/ws?client_id=me"))
    assert (status, b"max_connections_per_principal" in body) == (429, True)
    await server.connect("/ws?client_id=you")
    await server.connect()
    await server.connect()


async def test_behind_a_trusted_proxy_the_callers_own_address_counts(serve, upgrade):
    server = await serve(max_connections_per_address=1, trusted_proxies=("127.0.0.0/8",), max_handshakes_per_address=1)

    def of(caller):
        return {"X-Forwarded-For": caller}

    await server.connect(additional_headers=of("2001:db8::1"))
    await server.connect(additional_headers=of("2001:db8:0:1::1"))
    assert server.peers[0].address_block == "2001:db8::/64"
    # A client's own claim stands further left, and is worth nothing.
    assert (await server.http(upgrade(X_Forwarded_For="198.51.100.9, 2001:db8::2")))[0] == 429


async def test_without_a_trusted_proxy_nobody_is_believed(serve, upgrade):
    server = await serve(max_connections_per_address=1)
    await server.connect(additional_headers={"X-Forwarded-For": "198.51.100.9"})
    assert server.peers[0].address_block == "127.0.0.1"
    assert (await server.http(upgrade(X_Forwarded_For="198.51.100.8")))[0] == 429
