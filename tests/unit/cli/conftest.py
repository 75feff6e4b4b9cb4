"""A service that says what a test tells it to say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

Answer = Callable[[ServerConnection, dict[str, Any]], None]


class ScriptedService:
    """A real WebSocket server whose answers are the test's; it knows nothing of queues."""

    def __init__(self, answer: Answer) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self._answer = answer
        self._server = serve(self._serve, "127.0.0.1", 0)
        self.port = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _serve(self, connection: ServerConnection) -> None:
        self.paths.append(connection.request.path)
        try:
            for text in connection:
                message = json.loads(text)
                self.received.append(message)
                self._answer(connection, message)
        except ConnectionClosed:
            pass

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedService]]:
    """Starts a service that sends these messages for each request, the request's id filled in."""
    started: list[ScriptedService] = []

    def start(*messages: dict[str, Any], answer: Answer | None = None) -> ScriptedService:
        def send_all(connection: ServerConnection, request: dict[str, Any]) -> None:
            for message in messages:
                connection.send(json.dumps({"request_id": request["id"], **message}))

        service = ScriptedService(answer or send_all)
        started.append(service)
        return service

    yield start
    for service in started:
        service.stop()
