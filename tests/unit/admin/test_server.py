"""The thread of the admin port."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from streamer.admin.bounded_connections import MOST, BoundedConnections
from streamer.admin.guard import Guard
from streamer.admin.server import AdminServer
from streamer.testing import RecordingLogger


async def test_it_closes_although_functions_of_handlers_have_all_threads_of_the_loop():
    goes_on = threading.Event()
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    left = asyncio.get_running_loop().run_in_executor(None, goes_on.wait)
    server = AdminServer({}, Guard(None, []), host="127.0.0.1", port=0, logger=RecordingLogger())
    assert await server.start() > 0
    try:
        async with asyncio.timeout(20):
            await server.close()
    finally:
        goes_on.set()
    await left
    assert not any(thread.name == "streamer-admin" and thread.is_alive() for thread in threading.enumerate())
    # A second time there is nothing to close.
    await server.close()


@contextlib.asynccontextmanager
async def silent_clients(port, count, start=b""):
    """Connections that send so much and no more, the oldest first."""
    opened = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(start)
            opened.append(reader)
            opened.append(writer)
        yield opened[::2]
    finally:
        for writer in opened[1::2]:
            writer.close()


def port_of(admin):
    return int(admin.url.rpartition(":")[2])


async def test_silent_clients_hold_up_no_probe_and_only_the_oldest_of_too_many_are_closed(admin):
    async with silent_clients(port_of(admin), MOST + 50, b"GET /livez HTTP/1.1\r\nHost: loc") as readers:
        assert await admin.ask("/livez") == (200, "ok\n")
        assert await admin.ask("/readyz") == (200, "ok\n")
        for reader in readers[:50]:
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(20):
                    assert await reader.read() == b""
        # The two probes took the places of two more.
        assert not any(reader.at_eof() or reader.exception() for reader in readers[52:])


async def test_an_answer_that_nobody_reads_and_a_request_that_never_ends_are_cut_after_a_while():
    loop = asyncio.get_running_loop()

    class Floods(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"x" * 10_000_000)

        def connection_lost(self, _problem):
            ended.set()

    for make in (Floods, Waits):
        ended = Waits.ended = asyncio.Event()
        server = await loop.create_server(BoundedConnections(make, loop, lifetime=0.05), "127.0.0.1", 0)
        async with server, silent_clients(server.sockets[0].getsockname()[1], 1, b"GET"):
            async with asyncio.timeout(20):
                await ended.wait()


class Waits(asyncio.Protocol):
    """Gets the beginning of a request, and its end of the connection."""

    def connection_lost(self, _problem):
        self.ended.set()


async def test_a_connection_has_one_request(admin):
    assert (await admin.headers("/livez"))["Connection"] == "close"


async def test_what_is_no_http_fills_no_log(admin, caplog):
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(admin))
    writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == []
