"""Plain HTTP on the WebSocket's port, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from streamer.transports import connection_setup


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, b""),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200, b"ok\n"),
        (b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"ok\n"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204, b""),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200, b"ok\n"),
    ],
)
async def test_what_monitors_and_proxies_ask_is_answered(serve, request_, status, body):
    server = await serve()
    answered = await server.http(request_)
    assert (answered[0], answered[2]) == (status, body)


async def test_an_absolute_target_upgrades(serve):
    server = await serve()
    await server.raw("http://127.0.0.1/ws?client_id=me")
    assert server.peers[0].owner


async def test_another_method_is_not_allowed_and_a_body_that_still_comes_does_not_cost_the_answer(serve):
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
    writer.write(b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 1_000_000)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"Allow: GET, HEAD, OPTIONS\r\n" in answer
    writer.write(b"x" * 2_000_000)
    await writer.drain()
    writer.close()


async def test_a_client_that_goes_on_sending_is_cut_after_a_moment(serve, monkeypatch):
    monkeypatch.setattr(connection_setup, "LINGER", 0.01)
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
    writer.write(b"?\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    async with asyncio.timeout(90):
        while not writer.is_closing():
            writer.write(b"more")
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0.001)
    writer.transport.abort()


async def test_a_decision_that_fails_is_answered_and_logged(serve, upgrade, monkeypatch):
    server = await serve()

    def fail(*_):
        raise RuntimeError("secret reason")

    monkeypatch.setattr(server.transport._limits, "arrives", fail)
    status, _, body = await server.http(upgrade())
    assert status == 500
    assert b"secret" not in body
    assert [line[1] for line in server.log.lines] == ["a handshake could not be decided"]


async def test_a_request_that_comes_when_its_socket_was_given_up_is_dropped(upgrade):
    """The library crashes with a socket of which it was not told that it is open."""
    asked = []
    loop = asyncio.get_running_loop()
    one = connection_setup.Opening(asked.append, lambda _: pytest.fail("the socket was handed over"), loop, None)
    # As the task that waits for the handshake does when it is cancelled for another client, or its time is over.
    one.finished.cancel()
    request = upgrade()
    one.get_buffer(-1)[: len(request)] = request
    one.buffer_updated(len(request))
    assert asked == []


async def test_frames_that_come_with_the_request_are_read(serve, upgrade, frame, eventually):
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
    writer.write(upgrade() + frame(b"a" * 5000) + frame(b"b"))
    await eventually(lambda: server.receiver.frames == [b"a" * 5000, b"b"])
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.close()


async def test_nothing_of_the_request_is_kept_with_the_connection(serve):
    server = await serve()
    await server.raw("/ws?client_id=secret")
    request = server.peers[0]._transport.request
    assert b"secret" not in request.path
    assert "client_id" not in str(request.headers)


@pytest.mark.parametrize("broken", ["write_eof", "connection_made"])
async def test_a_client_that_has_gone_in_the_meantime_is_nobodys_trouble(
    serve, upgrade, monkeypatch, broken, eventually
):
    server = await serve()
    problems = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))

    def gone(*_):
        raise OSError(107, "Transport endpoint is not connected")

    if broken == "write_eof":
        made = connection_setup.Opening.connection_made

        def without_end(self, transport):
            made(self, _Gone(transport, gone))

        monkeypatch.setattr(connection_setup.Opening, "connection_made", without_end)
        sent = b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
        monkeypatch.setattr(connection_setup, "LINGER", 0.01)
    else:
        original = connection_setup.Opening.__init__

        def init(self, decide, make_protocol, loop, logger):
            original(self, decide, lambda _: _GoneProtocol(gone), loop, logger)

        monkeypatch.setattr(connection_setup.Opening, "__init__", init)
        sent = upgrade()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
    writer.write(sent)
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    await eventually(lambda: len(server.transport._acceptor.waiting) == 0)
    assert problems == []


class _Gone:
    """A transport whose client has gone when the end of writing is sent."""

    def __init__(self, transport, gone):
        self._transport = transport
        self.write_eof = gone

    def __getattr__(self, name):
        return getattr(self._transport, name)


class _GoneProtocol(asyncio.BufferedProtocol):
    """The library's, where a socket's options can no longer be set."""

    def __init__(self, gone):
        self.connection_made = gone
