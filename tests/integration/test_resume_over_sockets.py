"""A request outlives its socket and its service; its owner resumes it on the next connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import websockets

CONFIG = """
version: 1
server: {port: 0}
backends: {store: {use: sqlite, path: ./requests.db}}
logs: {format: json}
actions:
  nap:
    handler: delay
    with: {delay: 500ms}
    mode: async
"""


async def until(socket: Any, kind: str, request_id: str) -> list[dict[str, Any]]:
    messages = []
    while True:
        message = json.loads(await socket.recv())
        messages.append(message)
        if message["type"] == kind and message["request_id"] == request_id:
            return messages


async def test_what_was_begun_before_a_kill_is_told_after_it_once(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG)
    async with websockets.connect(f"{service.url}?client_id=owner") as socket:
        await socket.send(json.dumps({"action": "nap", "id": "r"}))
        seen = await until(socket, "progress", "r")
        service.kill()

    service = start_service(service.config)
    async with websockets.connect(f"{service.url}?client_id=stranger") as socket:
        await socket.send(json.dumps({"action": "streamer.resume", "id": "all"}))
        assert (await until(socket, "response", "all"))[-1]["data"] == {"requests": []}
        await socket.send(json.dumps({"action": "streamer.resume", "id": "one", "payload": {"request_id": "r"}}))
        assert (await until(socket, "error", "one"))[-1]["error"]["code"] == "NOT_FOUND"

    async with websockets.connect(f"{service.url}?client_id=owner") as socket:
        await socket.send(json.dumps({"action": "streamer.resume", "id": "all"}))
        messages = [one for one in await until(socket, "complete", "r") if one["request_id"] == "r"]
        numbers = [one["seq"] for one in seen + messages]
        assert numbers == sorted(numbers)
        assert [one["type"] for one in messages].count("complete") == 1
    assert service.stop() == 0


async def test_an_owner_cancels_what_runs(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG.replace("500ms", "1h"))
    async with websockets.connect(f"{service.url}?client_id=owner") as socket:
        await socket.send(json.dumps({"action": "nap", "id": "r"}))
        await until(socket, "acknowledgment", "r")
        await socket.send(json.dumps({"action": "streamer.cancel", "id": "c", "payload": {"request_id": "r"}}))
        messages = await until(socket, "response", "c")
        if not any(one["request_id"] == "r" and one["type"] == "error" for one in messages):
            messages += await until(socket, "error", "r")
        (ended,) = [one for one in messages if one["type"] == "error"]
        assert ended["error"]["code"] == "CANCELLED"
        await socket.send(json.dumps({"action": "streamer.list", "id": "l"}))
        listed = (await until(socket, "response", "l"))[-1]["data"]["requests"]
        assert [(one["request_id"], one["status"]) for one in listed] == [("r", "CANCELLED")]
    assert service.stop() == 0
