"""The Python client: `StreamerClient` for asyncio, `SyncStreamerClient` for blocking code.

::

    async with StreamerClient("ws://127.0.0.1:8080/ws") as client:
        report = await client.request("generate_report", {"year": 2026}, on_progress=print)

Errors of the service are exceptions: `RequestFailed`, with a subclass for each of the service's own codes.
"""

from streamer.client.client import StreamerClient
from streamer.client.connection_errors import ConnectionFailed, ConnectionLost, MessageTooLarge, NotAnswered
from streamer.client.errors import (
    Cancelled,
    Conflict,
    Forbidden,
    InternalError,
    InvalidAction,
    NotFound,
    Overloaded,
    RateLimited,
    RequestFailed,
    TimedOut,
    Unauthorized,
    ValidationFailed,
)
from streamer.client.handle import RequestHandle
from streamer.client.state import ConnectionState
from streamer.client.sync import SyncRequestHandle, SyncStreamerClient

__all__ = [
    "Cancelled",
    "Conflict",
    "ConnectionFailed",
    "ConnectionLost",
    "ConnectionState",
    "Forbidden",
    "InternalError",
    "InvalidAction",
    "MessageTooLarge",
    "NotAnswered",
    "NotFound",
    "Overloaded",
    "RateLimited",
    "RequestFailed",
    "RequestHandle",
    "StreamerClient",
    "SyncRequestHandle",
    "SyncStreamerClient",
    "TimedOut",
    "Unauthorized",
    "ValidationFailed",
]
