"""That the reason reaches a client which is still sending, and that waiting for it is bounded."""

from __future__ import annotations

import asyncio
import socket

import pytest

from streamer.transports import linger
from streamer.transports.linger import Linger


async def refused(served, raw):
    """A client whose frame was refused by its header, and which goes on sending it."""
    client = await raw.open(served)
    client.write(b"\x81\xff" + (2**30).to_bytes(8) + b"mask" + b"x" * 100_000)
    assert await client.close_code() == 1009
    await served.ended()
    return client


async def gone(lingering: set) -> None:
    async with asyncio.timeout(90):
        while lingering:
            await asyncio.sleep(0.001)


async def test_what_still_comes_is_dropped_until_the_client_ends_it(serve, raw):
    served = await serve(max_message_size=1000)
    client = await refused(served, raw)
    # The end of the server's side is seen at once, and no reset breaks the sending.
    assert await client.rest() == b""
    assert len(served.lingering) == 1
    for _ in range(100):
        client.write(b"x" * 100_000)
        await client.writer.drain()
    client.writer.write_eof()
    await gone(served.lingering)
    assert served.receiver.messages == []


async def test_a_client_that_never_ends_is_cut_when_the_time_is_over(serve, raw, monkeypatch):
    monkeypatch.setattr(linger, "SECONDS", 0.05)
    served = await serve(max_message_size=1000)
    client = await refused(served, raw)
    await gone(served.lingering)

    async def go_on() -> None:
        while True:
            client.write(b"x" * 100_000)
            await client.writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):
        await go_on()


async def test_a_client_that_resets_is_forgotten(serve, raw):
    served = await serve(max_message_size=1000)
    client = await refused(served, raw)
    client.writer.transport.abort()
    await gone(served.lingering)


async def test_sockets_that_only_linger_count_as_connections(serve, raw):
    served = await serve(max_message_size=1000, max_connections=1)
    client = await refused(served, raw)
    with pytest.raises(AssertionError, match="429"):
        await raw.open(served)
    client.writer.write_eof()
    await gone(served.lingering)
    await raw.open(served)


async def test_the_end_of_the_transport_ends_what_lingers(serve, raw):
    served = await serve(max_message_size=1000)
    await refused(served, raw)
    assert served.lingering
    await served.transport.close()
    assert not served.lingering


async def test_where_the_connection_is_already_reset_nobody_is_waited_for():
    never_connected = socket.socket()

    class Stream:
        def get_extra_info(self, name):
            return never_connected

    everyone: set = set()
    Linger.begin(Stream(), asyncio.get_running_loop(), everyone)
    assert everyone == set()
    never_connected.close()
