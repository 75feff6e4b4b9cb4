"""One port for WebSockets and plain HTTP: the first request of a connection decides which protocol it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

MAX_HEAD: Final = 64 * 1024
"""Maximum bytes of a request's first line and headers."""


class Front(asyncio.Protocol):
    """Reads the head of a connection's first request, then passes the connection on.

    Args:
        socket: creates the protocol of a connection whose first request is a WebSocket handshake.
        http: creates the protocol of any other.
    """

    def __init__(self, socket: Callable[[], asyncio.Protocol], http: Callable[[], asyncio.Protocol]) -> None:
        self._socket = socket
        self._http = http
        self._transport: asyncio.Transport | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, ended, _ = self._head.partition(b"\r\n\r\n")
        transport = self._transport
        assert transport is not None
        if not ended and len(self._head) < MAX_HEAD:
            return
        protocol = self._socket() if _asks_for_a_socket(head) else self._http()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._head)


def _asks_for_a_socket(head: bytes) -> bool:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"upgrade":
            return value.strip().lower() == b"websocket"
    return False
