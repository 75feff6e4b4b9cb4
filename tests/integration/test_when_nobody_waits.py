"""Requests that end with those who wait for them, over real sockets and with a real program."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import websockets

CONFIG = """
version: 1
server: {port: 0, drain_timeout: 1s}
backends: {store: {use: sqlite, path: ./requests.db}}
logs: {format: json}
worker: {concurrency: 1, poll_interval: 50ms}
actions:
  program:
    handler: command
    with:
      argv:
        - sh
        - -c
        - 'trap "rm pid; exit 0" TERM; echo $$ > pid; echo "{\\"progress\\": 1}"; while :; do sleep 0.05; done'
    mode: async
    on_disconnect: cancel
  patient:
    handler: delay
    with: {delay: 10s}
    mode: async
    on_disconnect: {cancel_after: 60s}
  impatient:
    handler: delay
    with: {delay: 10ms}
    mode: async
    expires_after: 100ms
"""


def connect(service: Any, client: str = "alice") -> Any:
    return websockets.connect(f"{service.url}?client_id={client}")


async def ask(socket: Any, action: str, request_id: str, payload: Any = None) -> None:
    await socket.send(json.dumps({"action": action, "id": request_id, "payload": payload}))


async def hear(socket: Any, kind: str) -> dict[str, Any]:
    while (message := json.loads(await socket.recv()))["type"] != kind:
        pass
    return message


async def ended(socket: Any, request_id: str) -> dict[str, Any]:
    """What is told of the request once it has ended; asking is what makes the time pass."""
    while True:
        await ask(socket, "streamer.status", "q", {"request_id": request_id})
        told = (await hear(socket, "response"))["data"]
        if told["status"] in {"CANCELLED", "FAILED", "COMPLETED"}:
            return told


async def test_a_program_is_ended_with_the_connection_that_waited_for_it(
    start_service: Callable[..., Any], tmp_path: Path
) -> None:
    service = start_service(CONFIG)
    async with connect(service) as socket:
        await ask(socket, "program", "r")
        await hear(socket, "progress")
    async with connect(service) as socket:
        told = await ended(socket, "r")
    assert (told["status"], told["error"]["code"]) == ("CANCELLED", "CANCELLED")
    # The slot of the one worker is free only when the program has ended.
    async with connect(service) as socket:
        await ask(socket, "patient", "next")
        await hear(socket, "progress")
    assert not (tmp_path / "pid").exists()
    assert service.stop() == 0


async def test_a_request_that_waited_too_long_behind_another_ends_as_timed_out_and_the_other_goes_on(
    start_service: Callable[..., Any],
) -> None:
    service = start_service(CONFIG)
    async with connect(service) as socket:
        await ask(socket, "patient", "first")
        await hear(socket, "progress")
        await ask(socket, "impatient", "second")
        await hear(socket, "acknowledgment")
        error = await hear(socket, "error")
        assert (error["request_id"], error["error"]["code"], error["error"]["retryable"]) == ("second", "TIMEOUT", True)
        await ask(socket, "streamer.status", "q", {"request_id": "first"})
        assert (await hear(socket, "response"))["data"]["status"] == "PROCESSING"
        os.kill(service.pid, signal.SIGTERM)
        os.kill(service.pid, signal.SIGTERM)
    assert service.wait() == 0
