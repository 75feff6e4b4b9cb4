"""An outcome counts as delivered when its client has shown that it took it, over real sockets and across a shutdown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

GUARD = 90.0
CONFIG = """
version: 1
server: {port: 0}
backends: {store: {use: sqlite, path: ./requests.db}}
worker: {progress_interval: 10ms}
logs: {format: json}
actions:
  nap: {handler: delay, with: {delay: 1500ms}, mode: async, on_disconnect: cancel}
  direct: {handler: delay, with: {delay: 1500ms}, mode: sync}
"""


class Client:
    """A plain client; with `pongs=False` one that takes messages and answers no ping."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """What comes up to the first message of that type."""
        messages: list[dict[str, Any]] = []
        async with asyncio.timeout(GUARD):
            while not messages or messages[-1]["type"] != kind:
                received = await self.socket.receive()
                if received.type is aiohttp.WSMsgType.PING:
                    continue
                assert received.type is aiohttp.WSMsgType.TEXT, (received, messages)
                messages.append(json.loads(received.data))
        return messages

    async def resumed(self) -> list[dict[str, Any]]:
        await self.send(action="streamer.resume", id="all")
        return await self.until("response")


@pytest.fixture
def connect() -> Callable[..., Any]:
    async def open_client(session: aiohttp.ClientSession, url: str, owner: str, *, pongs: bool = True) -> Client:
        return Client(await session.ws_connect(f"{url}?client_id={owner}", autoping=pongs))

    return open_client


async def test_an_outcome_is_sent_again_until_its_client_has_shown_that_it_took_it(
    start_service: Callable[..., Any], connect: Callable[..., Any]
) -> None:
    service = start_service(CONFIG)
    async with aiohttp.ClientSession() as session:
        client = await connect(session, service.url, "owner", pongs=False)
        await client.send(action="nap", id="r")
        first = (await client.until("complete"))[-1]
        # A message of its own shows nothing: it may have been on its way before the outcome.
        await client.send(action="streamer.ping", id="p")
        await client.until("response")
        client.socket._response.connection.transport.abort()

        client = await connect(session, service.url, "owner")
        again, answer = await client.resumed()
        assert (again["request_id"], again["seq"], answer["data"]) == ("r", first["seq"], {"requests": ["r"]})
        # Its library has answered the ping while it waited for the response behind it.
        (answer,) = await client.resumed()
        assert answer["data"] == {"requests": []}
        await client.socket.close()
    assert service.stop() == 0


async def test_at_a_shutdown_only_what_was_taken_counts(
    start_service: Callable[..., Any], connect: Callable[..., Any]
) -> None:
    service = start_service(CONFIG)
    async with aiohttp.ClientSession() as session:
        taking = await connect(session, service.url, "taking")
        silent = await connect(session, service.url, "silent", pongs=False)
        for client in (taking, silent):
            await client.send(action="nap", id="r")
            await client.until("acknowledgment")
        service.interrupt()
        came = await taking.until("complete")
        # Progress goes on while the service drains.
        assert [one["percentage"] for one in came[:-1]][-1] == 100
        await silent.until("complete")
        for client in (taking, silent):
            while (await client.socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                continue
            await client.socket.close()
        assert service.wait() == 0

        service = start_service(service.config)
        (answer,) = await (await connect(session, service.url, "taking")).resumed()
        assert answer["data"] == {"requests": []}
        messages = await (await connect(session, service.url, "silent")).resumed()
        assert [one["type"] for one in messages] == ["complete", "response"]
    assert service.stop() == 0


async def test_a_client_that_waits_is_not_idle_and_one_that_does_not_is(
    start_service: Callable[..., Any], connect: Callable[..., Any]
) -> None:
    service = start_service(CONFIG.replace("port: 0", "port: 0, idle_timeout: 500ms"))
    async with aiohttp.ClientSession() as session:
        queued = await connect(session, service.url, "queued")
        direct = await connect(session, service.url, "direct")
        resumes = await connect(session, service.url, "queued")
        idle = await connect(session, service.url, "idle")
        await queued.send(action="nap", id="r")
        await queued.until("acknowledgment")
        await resumes.resumed()
        await direct.send(action="direct", id="d")
        async with asyncio.timeout(GUARD):
            assert (await idle.socket.receive()).data == 1001
        assert (await direct.until("response"))[-1]["success"]
        for client in (queued, resumes):
            assert (await client.until("complete"))[-1]["success"]
            async with asyncio.timeout(GUARD):
                assert (await client.socket.receive()).data == 1001
    assert service.stop() == 0
