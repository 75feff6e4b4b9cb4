"""Clients that stop reading: memory stays within its bound, everybody else is served, and nothing of theirs is lost."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websockets

STALLED = 100
QUEUED = 10
"""Requests of each, whose results come when nobody reads any more."""
MAX_BUFFERED = 16 * 1024
MARGIN = 64 * 1024 * 1024
"""Bytes that the service may take beyond what it may buffer: the work itself, and what the allocator keeps."""
GUARD = 120.0
CONFIG = """
version: 1
server: {port: 0, max_buffered: 16KiB, ping_interval: 5s, ping_timeout: 5s, drain_timeout: 5s}
backends: {store: {use: sqlite, path: ./queue.db}}
# One at a time, so that nothing passes the gate before it is opened.
worker: {progress_interval: 0s, concurrency: 1}
logs: {format: json}
actions:
  echo: {handler: echo}
  gate: {handler: command, with: {argv: [./gate.sh]}, mode: async, priority: 10}
  large: {handler: echo, mode: async}
  chatty: {handler: command, with: {argv: [./chatty.sh]}, mode: async}
"""
PROGRAMS = {
    "gate.sh": "until [ -e open ]; do sleep 0.05; done",
    "chatty.sh": """
message=$(printf 'x%.0s' $(seq 4000))
for percentage in $(seq 0 99); do
    printf '{"progress": %d, "message": "%s"}\\n' "$percentage" "$message"
done""",
}


def memory(service: Any) -> int:
    return int(Path(f"/proc/{service.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def upgrade(client_id: str) -> bytes:
    return (
        f"GET /ws?client_id={client_id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def frame(message: Any) -> bytes:
    payload = json.dumps(message).encode()
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2)
    # A mask of zeros is a mask.
    return head + bytes(4) + payload


async def stalled(service: Any, number: int) -> socket.socket:
    """A client that asks for much, reads that it was taken, and then reads no more."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    # As on a real line: with loopback's own segments of 64 KiB the kernel would take megabytes on its behalf.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    loop = asyncio.get_running_loop()
    parts = urlsplit(service.url)
    await loop.sock_connect(sock, (parts.hostname, parts.port))
    payload = f"{number} " + "y" * 32_000
    wanted = [{"action": "large", "id": f"job-{job}", "payload": payload} for job in range(QUEUED)]
    wanted.append({"action": "chatty", "id": "chatty"})
    await loop.sock_sendall(sock, upgrade(f"stalled-{number}") + b"".join(map(frame, wanted)))
    received = b""
    while received.count(b'async processing"}') < len(wanted):
        received += await loop.sock_recv(sock, 65536)
    await loop.sock_sendall(sock, frame({"action": "echo", "payload": payload}) * 3)
    return sock


async def close_code(sock: socket.socket) -> int | None:
    """Reads at last what waits, to the close frame; its code, or None where the connection was cut before it."""
    loop = asyncio.get_running_loop()
    buffered = b""

    async def exactly(count: int) -> bytes:
        nonlocal buffered
        while len(buffered) < count:
            piece = await loop.sock_recv(sock, 65536)
            if not piece:
                raise EOFError
            buffered += piece
        taken, buffered = buffered[:count], buffered[count:]
        return taken

    try:
        async with asyncio.timeout(GUARD):
            while True:
                first, size = await exactly(2)
                if size == 126:
                    size = int.from_bytes(await exactly(2))
                elif size == 127:
                    size = int.from_bytes(await exactly(8))
                payload = await exactly(size)
                if first & 0xF == 8:
                    return int.from_bytes(payload[:2])
    except (EOFError, ConnectionError):
        return None


async def test_a_hundred_clients_that_stop_reading_cost_what_the_settings_say_and_lose_nothing(
    start_service: Callable[..., Any], tmp_path: Path
) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    service = start_service(CONFIG)
    async with websockets.connect(service.url) as honest, asyncio.timeout(GUARD):
        await honest.send('{"action": "gate"}')
        assert json.loads(await honest.recv())["type"] == "acknowledgment"
        before = memory(service)
        socks = [await stalled(service, number) for number in range(STALLED)]
        (tmp_path / "open").touch()
        most = 0
        answers = 0
        # Others are served all the while.
        while answers < 20 or cut_off(service) < STALLED:
            await honest.send('{"action": "echo", "payload": "hello"}')
            while json.loads(await honest.recv())["type"] != "response":
                continue
            answers += 1
            most = max(most, memory(service))
            # The machine is small: whoever asks without a pause would be the load.
            await asyncio.sleep(0.01)
        assert most - before < STALLED * 4 * MAX_BUFFERED + MARGIN
        codes = await asyncio.gather(*map(close_code, socks))
        # Who did not read within the grace has been cut, and sees no close frame.
        assert set(codes) <= {3008, None}
        for sock in socks:
            sock.close()
        for number in range(STALLED):
            assert await results(service, number) == {f"job-{job}": f"{number} " for job in range(QUEUED)}
    assert service.stop() == 0
    assert not [entry for entry in service.log if entry.get("level") == "error"]


def cut_off(service: Any) -> int:
    return sum(entry.get("event") == "slow consumer cut off" for entry in service.log)


async def results(service: Any, number: int) -> dict[str, str]:
    """The beginning of each result of a client that has come back, by request."""
    found: dict[str, str] = {}
    async with websockets.connect(f"{service.url}?client_id=stalled-{number}", max_size=None) as client:
        for job in range(QUEUED):
            await client.send(json.dumps({"action": "streamer.resume", "payload": {"request_id": f"job-{job}"}}))
        while len(found) < QUEUED:
            message = json.loads(await client.recv())
            if message["type"] == "complete":
                assert message["request_id"] not in found, "told twice"
                text = message["result"]["echo"]
                found[message["request_id"]] = text.rstrip("y")
    return found
