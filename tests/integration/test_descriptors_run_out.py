"""A flood of idle connections costs neither a durable request nor the writer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import websockets

CONFIG = """
version: 1
server: {port: 0}
backends: {store: {use: sqlite, path: ./q.db}}
logs: {format: json}
actions:
  job: {handler: command, with: {argv: [sh, -c, "echo '{\\"result\\": 1}'"]}, mode: async}
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the writer in /proc")


def log_lines(service: subprocess.Popen[bytes], lines: list[dict[str, Any]], until: str) -> dict[str, Any]:
    assert service.stderr is not None
    for line in service.stderr:
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
            if lines[-1].get("event", "").startswith(until):
                return lines[-1]
    raise AssertionError(lines)


def writer_of(pid: int) -> int:
    """The child process that writes the file."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"sqlite" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("there is no writer")


async def test_idle_connections_take_no_descriptor_that_a_request_or_the_writer_needs(tmp_path: Path) -> None:
    (tmp_path / "streamer.yaml").write_text(CONFIG)
    command = 'ulimit -n 200; exec "$0" -m streamer run'
    service = subprocess.Popen(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, stderr=subprocess.PIPE, env={**os.environ}
    )
    lines: list[dict[str, Any]] = []
    idle: list[socket.socket] = []
    try:
        url = log_lines(service, lines, "ready")["url"]
        warning = log_lines(service, lines, until="server.max_connections does not fit into the limit of open files")
        assert warning["accepted"] < 200
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with websockets.connect(f"{url}?client_id=me") as own:
            for _ in range(250):
                idle.append(socket.create_connection(("127.0.0.1", port)))
                idle[-1].setblocking(False)
            for one in idle:
                with contextlib.suppress(OSError):
                    one.send(
                        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                    )
            for request_id in ("before", "after"):
                await own.send(json.dumps({"action": "job", "id": request_id}))
                while (came := json.loads(await own.recv()))["type"] not in ("complete", "error"):
                    pass
                assert came["type"] == "complete", came
                if request_id == "before":
                    os.kill(writer_of(service.pid), signal.SIGKILL)
        open_now = len(list(Path(f"/proc/{service.pid}/fd").iterdir()))
        assert open_now < 200
    finally:
        for one in idle:
            one.close()
        service.terminate()
        assert service.stderr is not None
        service.stderr.close()
        service.wait(30)
