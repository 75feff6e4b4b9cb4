"""A small real WebSocket server that plays what a test writes down for it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import pytest
import uvloop
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Script = Callable[["Conversation"], Awaitable[None]]


def pytest_asyncio_loop_factories(config, item):
    """Every test of this folder runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Conversation:
    """One connection, as a script of the fake service sees it.

    Unlike the real service it checks nothing, stores nothing and runs nothing: it says only what the script says,
    even what the protocol forbids. Its WebSocket layer is another library than the client's, and real.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.connection.request.path).query)

    async def receive(self) -> dict:
        return json.loads(await self.connection.recv())

    async def say(self, **message) -> None:
        await self.connection.send(json.dumps(message))

    async def answer(self, request: dict, data) -> None:
        await self.say(type="response", request_id=request["id"], success=True, data=data)

    async def acknowledge(self, request: dict) -> None:
        await self.say(type="acknowledgment", request_id=request["id"], seq=0, status="queued", message="Queued")

    async def progress(self, request: dict, seq: int, percentage: float, **more) -> None:
        fields = {"message": f"at {percentage}", "timestamp": "2026-01-01T12:00:00.000Z", **more}
        await self.say(type="progress", request_id=request["id"], seq=seq, percentage=percentage, **fields)

    async def complete(self, request: dict, seq: int, result, **more) -> None:
        fields = {"success": True, "timestamp": "2026-01-01T12:00:00.000Z", **more}
        await self.say(type="complete", request_id=request["id"], seq=seq, result=result, **fields)

    async def fail(self, request: dict, code: str, message: str = "no", **more) -> None:
        seq = {"seq": more.pop("seq")} if "seq" in more else {}
        await self.say(type="error", request_id=request["id"], error={"code": code, "message": message, **more}, **seq)


def _url(server: Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"ws://{host}:{port}/ws"


async def _serve(script: Script, options: dict) -> Server:
    async def play(connection: ServerConnection) -> None:
        try:
            await script(Conversation(connection))
            await connection.wait_closed()
        except ConnectionClosed:
            pass

    return await serve(play, "127.0.0.1", 0, **{"close_timeout": 1, **options})


@pytest.fixture
async def fake():
    """`await fake(script)` starts a service that plays the script on each connection; returns its address."""
    servers = []

    async def start(script: Script, **options) -> str:
        server = await _serve(script, options)
        servers.append(server)
        return _url(server)

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
def fake_in_thread():
    """As `fake`, for tests that block: the service runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers = []

    def start(script: Script, **options) -> str:
        server = asyncio.run_coroutine_threadsafe(_serve(script, options), loop).result()
        servers.append(server)
        return _url(server)

    async def stop() -> None:
        for server in servers:
            server.close()
            await server.wait_closed()

    yield start
    asyncio.run_coroutine_threadsafe(stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
