"""Connections: how messages reach clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

import msgspec

from streamer.contracts.stores import Key
from streamer.contracts.subscriptions import Subscriptions
from streamer.core.principal import Principal

Message = bytes | Mapping[str, Any] | msgspec.Struct
"""JSON text that is already encoded, or a message to encode."""


class ConnectionManager(Protocol):
    """Sends messages to connections, in this process or in others."""

    def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> Awaitable[None]:
        """Accepts one message for sending; messages are sent in the order of the calls.

        Usually an `async def`. An implementation that accepts messages immediately may return
        `streamer.core.coroutines.DONE` instead.

        Args:
            connection_id: the receiver.
            message: one JSON object.
            replaces: the name of a stream of which only the newest message matters, such as the progress of a request.
                While the client is slow, an unsent message of the same name may be dropped in favour of this one.
                Messages without a name are never dropped.
            final: the last message of that stream. It replaces unsent messages of the same name, and is never dropped.
                Where clients can be pinged, `FrameReceiver.confirmed` reports that the client received it.

        Raises:
            ConnectionGone: the connection has ended.
        """
        ...

    def room(self, connection_id: str, /) -> Awaitable[None] | None:
        """None while the connection accepts messages as fast as they arrive, or when this is unknown.

        Otherwise an awaitable that resolves once the client has received most of the buffered data, or the connection
        has ended. A large message that can be read again later should wait for it.

        Raises:
            ConnectionGone: the connection has ended.
        """
        ...

    async def broadcast(self, connection_ids: list[str], message: Message, /) -> list[str]:
        """Sends a message to many connections. Returns those that have ended."""
        ...

    async def is_active(self, connection_id: str, /) -> bool:
        """Whether the connection is known to be open."""
        ...


class ConnectionDirectory(Protocol):
    """Finds connections by their user or tenant. Both built-in connection managers implement it."""

    async def by_user(self, user_id: str, /, tenant_id: str = "") -> list[str]:
        """The known open connections of an authenticated user, for `broadcast`."""
        ...

    async def by_tenant(self, tenant_id: str, /) -> list[str]:
        """The known open connections of all users of a tenant, for `broadcast`."""
        ...


class ConnectionInfo(NamedTuple):
    """What was stored when a connection opened, and is needed for each of its messages."""

    owner: str
    principal: Principal | None
    unconfirmed: tuple[str, ...] = ()
    """Outcomes that were sent to the connection, as named in `ConnectionRegistry.sent`, and are not yet confirmed."""


class ConnectionRegistry(Protocol):
    """Stores what is known about connections whose messages each arrive in another process.

    A connection manager for such connections offers it as `SharedConnections.connected`.
    """

    async def add(self, connection_id: str, known: ConnectionInfo, /) -> None:
        """The connection opens.

        Raises:
            StoreError: it could not be stored; the connection must be refused.
        """
        ...

    async def get(self, connection_id: str, /) -> ConnectionInfo | None:
        """The stored information; None when the connection was never stored, has ended, or is older than a connection
        can be.

        Raises:
            StoreError: it cannot be read now.
        """
        ...

    async def renew(self, connection_id: str, principal: Principal, /) -> None:
        """The connection has renewed its authentication.

        Raises:
            ConnectionGone: it has ended.
            StoreError: it could not be stored.
        """
        ...

    async def sent(self, connection_id: str, request_id: str, at: float, /) -> None:
        """An outcome was passed to the gateway for this connection at that time. A later message of the client confirms
        it.

        If very many are never confirmed, some may be left out; they stay unconfirmed.

        Raises:
            StoreError: it could not be stored.
        """
        ...

    async def confirm(self, connection_id: str, outcomes: Collection[str], /) -> None:
        """The client has shown that it received these outcomes, named as in `ConnectionInfo.unconfirmed`.

        Raises:
            StoreError: it could not be stored.
        """
        ...

    async def remove(self, connection_id: str, /) -> None:
        """The connection has ended. Does nothing for an unknown one.

        Raises:
            StoreError: it could not be deleted; it is deleted later.
        """
        ...

    async def keep(self, name: str, value: bytes, /) -> bytes:
        """Stores a small value for all processes. Returns the stored value: the first one that any process gave.

        Raises:
            StoreError: it could not be read or stored.
        """
        ...


class SharedConnections(ConnectionManager, Protocol):
    """Connections that any process can send to; their component declares `several_processes`."""

    subscriptions: Subscriptions
    connected: ConnectionRegistry | None
    """None: each connection is held by one process, which has its information."""
    progress_interval: float
    """Minimum seconds between two progress messages of one request, where `worker.progress_interval` is less."""


class Peer(Protocol):
    """One open connection, as the router sees it. All methods are called on the event loop's thread and never block."""

    id: str
    owner: str
    """The owner of the connection's requests: the principal's; without one `client:` and a digest of the `client_id`,
    or else `connection:…`.
    """
    principal: Principal | None
    """The authenticated principal; replaced when the authentication is renewed."""
    address: str
    """A keyed digest of the client's address block; empty when it is not used: with authentication, or when a gateway
    holds the connection.
    """
    running: int
    """The requests of this connection that are being answered directly now; updated by the router."""

    def refused(self, count: int = 1, /) -> None:
        """One of its messages was invalid, and was answered with an error. Too many of them close the connection.

        `count` is the weight of the message: one with many violations cost as much to answer as many messages.
        """
        ...

    def send(self, data: bytes, /) -> None:
        """Queues one text message for sending. Does nothing while the connection is closing."""
        ...

    def send_latest(self, name: str, data: bytes, final: bool = False, /) -> None:
        """As `send`. While the client is slow, only the newest message with this name is kept, until the final one.

        A final message is followed by a ping; `FrameReceiver.confirmed` reports its pong.
        """
        ...

    @property
    def post(self) -> Callable[[], Awaitable[bool]] | None:
        """None where `send` sends by itself. Else posts what it has collected, and returns whether the connection took
        it; nothing may reach the connection by another way before.
        """
        ...

    def room(self) -> Awaitable[None] | None:
        """None while the client reads fast enough; otherwise an awaitable that resolves once it does again, or the
        connection has ended.
        """
        ...


class PeerRegistry(Protocol):
    """A transport reports its connections here."""

    def add(self, peer: Any, /) -> None:
        """The connection is open."""
        ...

    def remove(self, peer: Any, /) -> None:
        """The connection has ended."""
        ...


Forward = Callable[[Key, str, bytes, bool], None]
"""Called with the request, the connection's id, the message, and whether it is the outcome. It returns at once and
raises nothing."""


class SharedSockets(SharedConnections, PeerRegistry, Protocol):
    """Connections of several processes, some of them held here: what their component declares as `holds_sockets` and
    `several_processes`. `streamer.connections.cluster.ClusterConnections` makes them of a `Bus` and `Subscriptions`.

    A connection of this process has the `Peer`'s own id. When a process dies, the others end the subscriptions of its
    connections by `Subscriptions.leave`.
    """

    def receiving(self, forward: Forward, /) -> AbstractAsyncContextManager[None]:
        """Within the context, what other processes send to connections of this one is handed to `forward`."""
        ...


class FrameReceiver(Protocol):
    """A transport delivers its messages here."""

    def receive(self, peer: Peer, frame: bytes, /) -> None:
        """One whole text message; it is valid UTF-8 and within the size limit. Returns immediately; never raises."""
        ...

    def confirmed(self, peer: Peer, names: Sequence[str], /) -> None:
        """The client has answered a ping that was sent after the final messages with these names, so it received them.

        Also called while the connection is closing, but never after `disconnected`.
        """
        ...

    def waits(self, peer: Peer, /) -> bool:
        """Whether the client waits for a message of the service; such a connection is not idle."""
        ...

    def disconnected(self, peer: Peer, /) -> None:
        """The connection has ended; nothing more will arrive from it."""
        ...
