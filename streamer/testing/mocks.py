"""Doubles for testing handlers and routers without a service, with the names that the original system's tests use.

They differ from real implementations: nothing is durable, nothing is slow, connections never end by themselves, and
messages are recorded as decoded objects instead of frames.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from streamer.contracts.connections import Message
from streamer.core.messages import Reporter, Request
from streamer.core.records import RequestRecord

SendFunction = Callable[[str, Any], Awaitable[None]]


def decoded(message: Message) -> Any:
    """The message as plain data, in whatever form it was passed."""
    return json.loads(message) if isinstance(message, bytes) else msgspec.to_builtins(message)


class SendOnlyMock:
    """A connection manager that records sent messages in a dictionary.

    Attributes:
        send_func: called instead, when it is set; its messages are not recorded. Raise in it to make sending fail.
        messages: the sent messages, by connection id, in order.
    """

    def __init__(self) -> None:
        self.send_func: SendFunction | None = None
        self.messages: dict[str, list[Any]] = {}

    async def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> None:
        """Every message is recorded: no client is slow here, so none replaces another."""
        del replaces, final
        if self.send_func is not None:
            await self.send_func(connection_id, decoded(message))
            return
        self.messages.setdefault(connection_id, []).append(decoded(message))

    def room(self, connection_id: str, /) -> None:
        """No client is slow here."""

    def get_messages(self, connection_id: str) -> list[Any]:
        """The messages sent to one connection."""
        return list(self.messages.get(connection_id, ()))

    def reset(self) -> None:
        """Clears the recorded messages."""
        self.messages.clear()


class ProgressReporterMock(SendOnlyMock):
    """Records messages, and knows which connections are active: none, until `set_active` is called.

    Attributes:
        is_active_func: called instead, when it is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_active_func: Callable[[str], bool] | None = None
        self.active_connections: dict[str, bool] = {}

    async def is_active(self, connection_id: str, /) -> bool:
        if self.is_active_func is not None:
            return self.is_active_func(connection_id)
        return self.active_connections.get(connection_id, False)

    def set_active(self, connection_id: str, active: bool) -> None:
        """Sets whether a connection is active."""
        self.active_connections[connection_id] = active


class RecordingMock(SendOnlyMock):
    """Records messages, says that every connection is active, and records the ids of these queries."""

    def __init__(self) -> None:
        super().__init__()
        self.is_active_calls: list[str] = []

    async def is_active(self, connection_id: str, /) -> bool:
        self.is_active_calls.append(connection_id)
        return True


class FailingMock:
    """Sends nothing: every message fails with the same exception, and no connection is active.

    Args:
        error: raised by sending; `ConnectionGone` for a connection that has ended.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> None:
        """Fails."""
        del connection_id, message, replaces, final
        raise self.error

    def room(self, connection_id: str, /) -> None:
        """Fails."""
        del connection_id
        raise self.error

    async def broadcast(self, connection_ids: list[str], message: Message, /) -> list[str]:
        """Fails."""
        del connection_ids, message
        raise self.error

    async def is_active(self, connection_id: str, /) -> bool:
        del connection_id
        return False


class MockConnectionManager(ProgressReporterMock):
    """A whole connection manager that records every call.

    Attributes:
        broadcast_func: called instead, when it is set.
        calls: name and arguments of each call, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.broadcast_func: Callable[[list[str], Any], Awaitable[list[str]]] | None = None
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    async def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> None:
        self.calls.append(("send", (connection_id, decoded(message))))
        await super().send(connection_id, message, replaces=replaces, final=final)

    async def broadcast(self, connection_ids: list[str], message: Message, /) -> list[str]:
        """Records the message for each connection, and reports none of them as ended."""
        self.calls.append(("broadcast", (list(connection_ids), decoded(message))))
        if self.broadcast_func is not None:
            return await self.broadcast_func(connection_ids, decoded(message))
        for connection_id in connection_ids:
            self.messages.setdefault(connection_id, []).append(decoded(message))
        return []

    async def is_active(self, connection_id: str, /) -> bool:
        self.calls.append(("is_active", (connection_id,)))
        return await super().is_active(connection_id)

    def call_count(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)

    def reset(self) -> None:
        """Clears messages and calls."""
        super().reset()
        self.calls.clear()


class MockRequestStore:
    """The small store that a router needs, in a list.

    Attributes:
        enqueue_func: called instead, when it is set. Raise in it to make storing fail.
        requests: the enqueued requests, in order.
    """

    def __init__(self) -> None:
        self.enqueue_func: Callable[[Request], Awaitable[RequestRecord | None]] | None = None
        self.requests: list[Request] = []

    async def enqueue(self, request: Request, /) -> RequestRecord | None:
        """Every request is new."""
        if self.enqueue_func is not None:
            return await self.enqueue_func(request)
        self.requests.append(request)
        return None


class RecordingReporter(Reporter):
    """Records a handler's reports: pass it to a `Request` as `progress`.

    Attributes:
        updates: percentage, message and metadata of each report, in order, as they were passed.
        metadata: the values of `set_metadata`.
    """

    __slots__ = ("metadata", "updates")

    def __init__(self) -> None:
        self.updates: list[tuple[float, str, dict[str, Any]]] = []
        self.metadata: dict[str, Any] = {}

    def report(self, percentage: float, message: str = "", **metadata: Any) -> None:
        """Records one report."""
        self.updates.append((percentage, message, {**self.metadata, **metadata}))

    def set_metadata(self, key: str, value: Any) -> None:
        """Sets one value for later reports."""
        self.metadata[key] = value
