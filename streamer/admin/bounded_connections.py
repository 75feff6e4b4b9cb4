"""Bounds on the connections of the admin port, so that silent clients do not take the service's descriptors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

MOST: Final = 100
"""Connections at one time. One more closes the oldest: a probe takes milliseconds, a silent client waits."""
LIFETIME: Final = 30.0
"""Seconds of one connection, which has one request: from its opening to the last byte of the answer."""


class BoundedConnections:
    """Makes the protocols of an `asyncio` server, and closes connections that are too many or too old.

    Args:
        make: makes the protocol of one connection.
        loop: of the server.
        most: connections at one time.
        lifetime: seconds of one.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        loop: asyncio.AbstractEventLoop,
        *,
        most: int = MOST,
        lifetime: float = LIFETIME,
    ) -> None:
        self._make = make
        self._loop = loop
        self._most = most
        self._lifetime = lifetime
        self._ends: dict[_Bounded, asyncio.TimerHandle] = {}
        """When each open connection is closed, the oldest first."""

    def __call__(self) -> asyncio.Protocol:
        return _Bounded(self._make(), self)

    def opened(self, connection: _Bounded) -> None:
        """The connection is open."""
        if len(self._ends) >= self._most:
            oldest = next(iter(self._ends))
            self.ended(oldest)
            oldest.cut()
        self._ends[connection] = self._loop.call_later(self._lifetime, connection.cut)

    def ended(self, connection: _Bounded) -> None:
        """The connection has ended, or is about to."""
        timer = self._ends.pop(connection, None)
        if timer is not None:
            timer.cancel()


class _Bounded(asyncio.Protocol):
    """Passes everything on to the protocol."""

    def __init__(self, protocol: asyncio.Protocol, connections: BoundedConnections) -> None:
        self._connections = connections
        self._protocol = protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.opened(self)
        self._protocol.connection_made(transport)

    def connection_lost(self, problem: Exception | None) -> None:
        self._connections.ended(self)
        self._protocol.connection_lost(problem)

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def cut(self) -> None:
        """Closes the socket at once, whatever was not sent."""
        self._transport.abort()
