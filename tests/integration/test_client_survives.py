"""The project's own client, while sockets are cut and services die: waiting for a request simply survives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from streamer.client import Cancelled, StreamerClient, SyncStreamerClient

CONFIG = """
version: 1
server: {{port: {port}, drain_timeout: 10s}}
backends: {{store: {{use: sqlite, path: ./requests.db}}}}
logs: {{format: json}}
actions:
  echo: {{handler: echo}}
  nap: {{handler: delay, with: {{delay: 1s}}, mode: async}}
  long: {{handler: delay, with: {{delay: 1h}}, mode: async}}
  mark:
    handler: command
    with: {{argv: [sh, -c, 'echo run >> marks; echo "{{\\"result\\": 1}}"']}}
    mode: async
"""


class Relay:
    """A TCP port before a service, whose connections can be cut at will. It knows nothing of what passes."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._writers: set[asyncio.StreamWriter] = set()
        self.opened = asyncio.Semaphore(0)
        self.url = ""

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}{self._target.path}"
        return server

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, inner_writer}
        self.opened.release()
        await asyncio.gather(self._pass(reader, inner_writer), self._pass(inner_reader, writer))
        self._writers -= {writer, inner_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def relay_to(url: str) -> AsyncIterator[Relay]:
    relay = Relay(url)
    server = await relay.serve()
    yield relay
    relay.cut()
    server.close()


def config(port: int = 0) -> str:
    return CONFIG.format(port=port)


async def test_a_cut_socket_in_the_middle_of_a_request_is_not_noticed_by_who_waits(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.2) as client:
        seen: list[float] = []

        def note(update: Any) -> None:
            seen.append(update.percentage)
            if len(seen) in (2, 5):
                relay.cut()

        assert (await client.request("nap", on_progress=note))["steps"] == 10
        assert seen == sorted(set(seen))
        assert seen[-1] == 100
    assert service.stop() == 0


async def test_a_killed_service_that_comes_back_on_the_same_port_goes_on_with_the_request(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(config())
    port = urlsplit(service.url).port
    async with StreamerClient(service.url, max_reconnect_delay=0.2) as client:
        begun = asyncio.Event()
        request = asyncio.create_task(client.request("nap", id="r", on_progress=lambda _update: begun.set()))
        await begun.wait()
        service.kill()
        service = await asyncio.to_thread(start_service, config(port))
        assert (await request)["steps"] == 10
        told = await client.status("r")
        assert (told["status"], told["attempt"]) == ("COMPLETED", 2)
    assert service.stop() == 0


async def test_a_drain_is_survived_by_what_runs_what_waits_and_what_is_asked_meanwhile(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(config())
    port = urlsplit(service.url).port
    async with StreamerClient(service.url, max_reconnect_delay=0.2) as client:
        begun = asyncio.Event()
        running = asyncio.create_task(client.request("nap", on_progress=lambda _update: begun.set()))
        await begun.wait()
        os.kill(service.pid, signal.SIGTERM)
        while not any(line.get("event") == "draining" for line in service.log):
            await asyncio.sleep(0)
        direct = asyncio.create_task(client.request("echo", 1))
        queued = asyncio.create_task(client.request("nap"))
        assert await asyncio.to_thread(service.wait) == 0
        service = await asyncio.to_thread(start_service, config(port))
        assert (await running)["steps"] == 10
        assert (await direct)["echo"] == 1
        assert (await queued)["steps"] == 10
    assert service.stop() == 0


async def test_what_was_sent_but_never_acknowledged_runs_once(
    start_service: Callable[..., Any], tmp_path: Path
) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.2) as client:
        for number in range(10):
            handle = await client.submit("mark", id=f"r{number}")
            # The message is on its way; whether it arrives before the cut is chance, and must not matter.
            if number % 2:
                await asyncio.sleep(0)
            relay.cut()
            assert await handle == 1
    assert len((tmp_path / "marks").read_text().splitlines()) == 10
    assert service.stop() == 0


async def test_a_task_that_is_cancelled_cancels_its_request_on_the_service(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    async with StreamerClient(service.url) as client:
        request = asyncio.create_task(client.request("long", id="r"))
        while (await client.list())["requests"] == []:
            pass
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        while (told := await client.status("r"))["status"] != "CANCELLED":
            pass
        assert told["error"]["code"] == "CANCELLED"
    assert service.stop() == 0


async def test_cancelling_while_there_is_no_connection_is_done_on_the_next(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.2) as client:
        handle = await client.submit("long", id="r")
        assert await handle.acknowledged()
        relay.cut()
        while client.connected:
            await asyncio.sleep(0)
        assert (await handle.cancel())["status"] == "CANCELLED"
        with pytest.raises(Cancelled):
            await handle
    assert service.stop() == 0


async def test_one_cut_after_the_other_while_it_resumes_loses_nothing(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay, StreamerClient(relay.url, max_reconnect_delay=0.05) as client:
        requests = [asyncio.create_task(client.request("nap")) for _ in range(5)]
        for _ in range(20):
            await relay.opened.acquire()
            relay.cut()
        assert [(await request)["steps"] for request in requests] == [10] * 5
    assert service.stop() == 0


async def test_closing_while_it_connects_again_ends_quietly(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    async with relay_to(service.url) as relay:
        for turns in range(0, 60, 3):
            client = StreamerClient(relay.url, max_reconnect_delay=0.05)
            await client.connect()
            relay.cut()
            for _ in range(turns):
                await asyncio.sleep(0)
            await client.close()
            assert not client.connected
    assert service.stop() == 0


async def test_another_process_of_the_same_client_takes_its_requests_up(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    async with StreamerClient(service.url, "me") as first:
        handle = await first.submit("nap", id="r")
        await handle.acknowledged()
    async with StreamerClient(service.url, "me") as second:
        assert json.loads(json.dumps(await (await second.resume("r"))))["steps"] == 10
    assert service.stop() == 0


def test_the_blocking_client_survives_a_kill_too(start_service: Callable[..., Any]) -> None:
    service = start_service(config())
    port = urlsplit(service.url).port
    with SyncStreamerClient(service.url, max_reconnect_delay=0.2) as client:
        handle = client.submit("nap")
        service.kill()
        service = start_service(config(port))
        assert handle.result()["steps"] == 10
    assert service.stop() == 0
