"""A real service whose log cannot be written, or whose standard streams are closed: requests do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import websockets

CONFIG = """
version: 1
server: {{port: {port}, drain_timeout: 5s}}
backends: {{store: {store}}}
logs: {{format: json}}
middleware: [{{use: access_log}}]
actions:
  echo: {{handler: echo}}
  chatty: {{handler: lab.chatty}}
  busy: {{handler: lab.busy}}
  queued: {{handler: lab.chatty, mode: async}}
  program:
    handler: command
    with: {{argv: [sh, -c, "echo working >&2; echo '{{\\"result\\": 1}}'"]}}
"""
PLUGIN = """
import sys
import warnings

print("imported")
print("imported", file=sys.stderr)

from streamer import handler, hookimpl

def chatty(request):
    print("x" * 2000)
    print("to standard error", file=sys.stderr)
    warnings.warn("a warning")
    return request.attempt

@hookimpl
def streamer_handlers():
    return [
        handler("chatty", chatty, estimated_duration="10ms"),
        handler("busy", chatty, estimated_duration="10ms", cpu_bound=True),
    ]
"""
GONE = "gone"
STALLED = "stalled"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    info = site / "lab_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "lab_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[streamer]\nlab = lab_plugin\n")
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def connected(port: int, process: subprocess.Popen[bytes]) -> websockets.ClientConnection:
    while True:
        with contextlib.suppress(OSError):
            return await websockets.connect(f"ws://127.0.0.1:{port}/ws")
        assert process.poll() is None, "the service has ended"
        await asyncio.sleep(0.1)


async def answers(port: int, process: subprocess.Popen[bytes]) -> list[str]:
    """What becomes of one request of each kind, after enough others to fill a pipe with their lines."""
    async with await connected(port, process) as client:
        for number in range(600):
            await client.send(json.dumps({"action": "echo", "id": f"e{number}"}))
        kinds = [json.loads(await client.recv())["type"] for _ in range(600)]
        assert set(kinds) == {"response"}
        found = []
        for action in ("chatty", "busy", "program", "queued"):
            await client.send(json.dumps({"action": action, "id": action}))
            message = json.loads(await client.recv())
            while message["type"] in ("acknowledgment", "progress"):
                message = json.loads(await client.recv())
            found.append(message)
        assert found[-1].get("result") == 1, "it was completed by its first attempt"
        return [message["type"] for message in found]


@pytest.mark.parametrize("streams", [GONE, STALLED, "2>/dev/full", "2>log", "2>&-", ">&-", "<&- >&- 2>&-"])
async def test_requests_are_answered_and_the_service_ends_well(home: Path, streams: str) -> None:
    port = free_port()
    # A database is a file as well, and would meet the limit of its size first.
    store = "memory" if streams == "2>log" else "{use: sqlite, path: ./requests.db}"
    (home / "streamer.yaml").write_text(CONFIG.format(port=port, store=store))
    reader, writer = os.pipe()
    redirected = "" if streams in (GONE, STALLED) else streams
    # A file may have no more than a few blocks: what is beyond fails.
    limit = "ulimit -f 8;" if streams == "2>log" else ""
    process = subprocess.Popen(
        ["sh", "-c", f'{limit} exec "$@" {redirected}', "sh", sys.executable, "-m", "streamer", "run"],
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=writer,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(home / "site"), *sys.path])},
    )
    os.close(writer)
    if streams == GONE:
        os.close(reader)
    try:
        assert await answers(port, process) == ["response", "response", "response", "complete"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    finally:
        process.kill()
        process.wait()
        if streams != GONE:
            os.close(reader)
