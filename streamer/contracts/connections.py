"""How messages reach connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from streamer.core.principal import Principal

Message = bytes | Mapping[str, Any] | msgspec.Struct
"""JSON text already encoded, or something to encode."""


class ConnectionManager(Protocol):
    """Sends to connections, wherever they are."""

    async def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> None:
        """Hands one message over for sending, in the order of the calls.

        Args:
            connection_id: whom to.
            message: one JSON object.
            replaces: names a stream of which only the newest message counts (progress of a request). Under
                pressure an unsent one of the same name may be dropped for it. Messages without it are never dropped.
            final: the last message of that stream: an unsent one of the same name is dropped for it, and it is never
                dropped itself.

        Raises:
            ConnectionGone: no such connection any more.
        """
        ...

    async def broadcast(self, connection_ids: list[str], message: Message, /) -> list[str]:
        """Sends to many. Returns those that are gone."""
        ...

    async def is_active(self, connection_id: str, /) -> bool:
        """Whether the connection is known to be open."""
        ...


class Peer(Protocol):
    """One open connection, as the router sees it. All calls are made on the loop's thread and never block."""

    id: str
    owner: str
    """The principal's own; without one `client:…` when the client gave a `client_id`, else `connection:…`."""
    principal: Principal | None
    """Who the connection has proved to be; replaced when the proof is renewed."""
    running: int
    """Requests of this connection that are being answered directly right now; kept by the router."""

    def refused(self, count: int = 1, /) -> None:
        """A message of it was no request at all, and has been told so. Too many of them, and the connection ends.

        `count` is what it counts for: one that broke many rules cost as much to answer as many messages.
        """
        ...

    def send(self, data: bytes, /) -> None:
        """Queues one text message for sending. Silent when the connection is closing."""
        ...

    def send_latest(self, name: str, data: bytes, final: bool = False, /) -> None:
        """As `send`; while the client is slow only the newest message of that name is kept, until a final one."""
        ...


class PeerRegistry(Protocol):
    """Where a transport announces its connections."""

    def add(self, peer: Any, /) -> None:
        """The connection is open."""
        ...

    def remove(self, peer: Any, /) -> None:
        """The connection has ended."""
        ...


class FrameReceiver(Protocol):
    """What a transport hands its messages to."""

    def receive(self, peer: Peer, frame: bytes, /) -> None:
        """One whole text message, UTF-8 checked and within the size limit. Returns at once; never raises."""
        ...

    def disconnected(self, peer: Peer, /) -> None:
        """The connection has ended; nothing more will come of it."""
        ...
