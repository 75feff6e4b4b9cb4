"""Which of a host's addresses is connected to."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import pytest

from streamer.client.tcp import connected_socket, first_connected, words_of


@pytest.fixture
async def listening():
    """A port that somebody listens on at 127.0.0.1, and nobody at 127.0.0.2."""

    def accept(_reader, writer):
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def addresses(port, *hosts):
    return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)) for host in hosts]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_host_is_connected_to_without_blocking(listening, host):
    with await connected_socket(host, listening) as connected:
        assert connected.getpeername() == ("127.0.0.1", listening)
        assert not connected.getblocking()


async def test_a_host_that_listens_on_its_second_address_alone_is_reached(listening):
    with await first_connected(addresses(listening, "127.0.0.2", "127.0.0.1")) as connected:
        assert connected.getpeername()[0] == "127.0.0.1"


async def test_when_nobody_listens_the_systems_own_error_comes_out(listening):
    with pytest.raises(OSError) as refused:
        await first_connected(addresses(listening, "127.0.0.2", "127.0.0.3"))
    assert refused.value.errno == errno.ECONNREFUSED


WSS = "wss://example.com/ws"


@pytest.mark.parametrize(
    ("error", "shown", "words"),
    [
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), WSS, "does not use TLS"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), WSS, "its address is ws://example.com/ws"),
        (
            ConnectionResetError(),
            WSS,
            "closed while it was being opened; if the service does not use TLS",
        ),
        (ConnectionAbortedError("SSL handshake is taking longer than 10 seconds"), WSS, "taking longer"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), WSS, "Connection refused (is the server running there?)"),
        (
            ConnectionResetError(),
            "ws://example.com/ws",
            "closed while it was being opened (is the server",
        ),
        (socket.gaierror(-2, "Name or service not known"), WSS, "Name or service not known (is the host name correct"),
    ],
)
def test_what_went_wrong_is_said_in_words_that_help(error, shown, words):
    assert words in words_of(error, shown)


def test_a_certificate_that_is_not_trusted_is_named():
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate"
    assert words_of(error, WSS) == "its certificate is not trusted: self-signed certificate"
