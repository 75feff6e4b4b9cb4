"""Outcomes over slow lines: every one arrives, each that was taken is delivered, and no line is too slow for one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websockets

from streamer.client import StreamerClient

SIZE = 1_000_000
RESULTS = 8
"""Of each owner: more than the kernel and four times `max_buffered` hold."""
GUARD = 100.0
CONFIG = """
version: 1
server: {port: 0, max_message_size: 2MiB}
backends: {store: {use: sqlite, path: ./queue.db}}
# One at a time, so that nothing passes the gate before it is opened.
worker: {concurrency: 1}
logs: {format: json}
actions:
  gate: {handler: command, with: {argv: [./gate.sh]}, mode: async, priority: 10}
  large: {handler: echo, mode: async}
"""
ROOT = Path(__file__).parents[2]
SCRIPT = """
import { StreamerClient } from "%s";
const client = new StreamerClient(process.argv[2], { clientId: "javascript" });
const handles = await client.resume();
const sizes = await Promise.all(handles.map(async ({ result }) => (await result).echo.length));
console.log(JSON.stringify(sizes));
client.close();
"""


class SlowLine:
    """A TCP relay that passes on so many bytes a second from the service, and holds back nothing itself."""

    def __init__(self, target: str, rate: int) -> None:
        self._target = urlsplit(target)
        self._rate = rate
        self.connections = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{self._target.path}"
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        await asyncio.get_running_loop().sock_connect(sock, (self._target.hostname, self._target.port))
        far_reader, far_writer = await asyncio.open_connection(sock=sock, limit=8 * 1024)
        passing = [
            asyncio.create_task(self._pass(reader, far_writer, 0)),
            asyncio.create_task(self._pass(far_reader, writer, self._rate)),
        ]
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for task in passing:
            task.cancel()
        for one in (writer, far_writer):
            one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: int) -> None:
        loop = asyncio.get_running_loop()
        free_at = loop.time()
        with contextlib.suppress(OSError):
            while data := await reader.read(16 * 1024):
                writer.write(data)
                await writer.drain()
                if rate:
                    free_at = max(free_at, loop.time() - 0.1) + len(data) / rate
                    await asyncio.sleep(max(0.0, free_at - loop.time()))


async def queue(url: str, owner: str, count: int, size: int = SIZE) -> None:
    """Requests whose outcomes come when nobody is connected."""
    async with websockets.connect(f"{url}?client_id={owner}", max_size=None) as client:
        for number in range(count):
            message = {"action": "large", "id": f"{owner}-{number}", "payload": str(number) * size}
            await client.send(json.dumps(message))
        for _ in range(count):
            assert json.loads(await client.recv())["type"] == "acknowledgment"


async def all_ended(url: str, owner: str) -> None:
    async with websockets.connect(f"{url}?client_id={owner}", max_size=None) as client:
        while True:
            await client.send(json.dumps({"action": "streamer.list"}))
            listed = json.loads(await client.recv())["data"]["requests"]
            if all(one["status"] == "COMPLETED" for one in listed):
                return
            await asyncio.sleep(0.05)


async def undelivered(url: str, owner: str) -> list[str]:
    """What the owner's next connection is sent."""
    async with websockets.connect(f"{url}?client_id={owner}", max_size=None) as client:
        await client.send(json.dumps({"action": "streamer.resume", "id": "resume"}))
        while (message := json.loads(await client.recv()))["request_id"] != "resume":
            continue
        return message["data"]["requests"]


async def plain(url: str) -> list[str]:
    """What comes of one resume, in order."""
    came = []
    async with websockets.connect(f"{url}?client_id=plain", max_size=None) as client:
        await client.send(json.dumps({"action": "streamer.resume", "id": "resume"}))
        while not came or came[-1] != "resume":
            came.append(json.loads(await client.recv())["request_id"])
    return came


async def python(url: str) -> list[int]:
    async with StreamerClient(url, client_id="python") as client:
        handles = await asyncio.gather(*(client.resume(f"python-{number}") for number in range(RESULTS)))
        return [len((await handle.result())["echo"]) for handle in handles]


async def javascript(url: str, node: list[str], folder: Path) -> list[int]:
    script = folder / "resume.mjs"
    script.write_text(SCRIPT % (ROOT / "streamer/client/js/streamer.js").as_uri())
    process = await asyncio.create_subprocess_exec(*node, str(script), url, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


async def interrupted(url: str) -> tuple[list[str], int]:
    """Resumes over a line that breaks after the first outcome, each time; what came, and how often it connected."""
    came: list[str] = []
    tries = 0
    while len(came) < 2 and tries < 4:
        tries += 1
        async with websockets.connect(f"{url}?client_id=interrupted", max_size=None) as client:
            await client.send(json.dumps({"action": "streamer.resume"}))
            came.append(json.loads(await client.recv())["request_id"])
            # Its answers go on their way, and then the line breaks.
            await asyncio.sleep(0.3)
            client.transport.abort()
    return came, tries


async def test_outcomes_get_through_slow_lines_one_after_the_other(
    start_service: Callable[..., Any], tmp_path: Path, node: list[str]
) -> None:
    (tmp_path / "gate.sh").write_text("#!/bin/sh\nuntil [ -e open ]; do sleep 0.05; done\n")
    (tmp_path / "gate.sh").chmod(0o755)
    service = start_service(CONFIG)
    owners = {"plain": RESULTS, "python": RESULTS, "javascript": RESULTS, "interrupted": RESULTS}
    async with asyncio.timeout(GUARD), contextlib.AsyncExitStack() as stack:
        gate = await stack.enter_async_context(websockets.connect(service.url))
        await gate.send('{"action": "gate"}')
        assert json.loads(await gate.recv())["type"] == "acknowledgment"
        for owner, count in owners.items():
            # The line that is cut is ten times slower; its outcomes are smaller, so that the test is not.
            await queue(service.url, owner, count, SIZE // 2 if owner == "interrupted" else SIZE)
        (tmp_path / "open").touch()
        for owner in owners:
            await all_ended(service.url, owner)
        fast = [SlowLine(service.url, 1_000_000) for _ in range(3)]
        slow = SlowLine(service.url, 100_000)
        urls = [await stack.enter_async_context(line.open()) for line in [*fast, slow]]
        came, sizes, more_sizes, (first, tries) = await asyncio.gather(
            plain(urls[0]), python(urls[1]), javascript(urls[2], node, tmp_path), interrupted(urls[3])
        )
        assert came == [*(f"plain-{number}" for number in range(RESULTS)), "resume"]
        assert sizes == more_sizes == [SIZE] * RESULTS
        assert [line.connections for line in fast] == [1, 1, 1]
        # Each break brought one outcome further.
        assert (first, tries) == ([f"interrupted-{number}" for number in range(2)], 2)
        for owner in ("plain", "python", "javascript"):
            assert await undelivered(service.url, owner) == []
        assert await undelivered(service.url, "interrupted") == [
            f"interrupted-{number}" for number in range(2, RESULTS)
        ]
    assert not [entry for entry in service.log if entry["event"] == "slow consumer cut off"]
    assert service.stop() == 0
