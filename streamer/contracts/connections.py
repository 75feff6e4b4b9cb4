"""How messages reach connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from streamer.contracts.subscriptions import Subscriptions
from streamer.core.principal import Principal

Message = bytes | Mapping[str, Any] | msgspec.Struct
"""JSON text already encoded, or something to encode."""


class ConnectionManager(Protocol):
    """Sends to connections, wherever they are."""

    def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> Awaitable[None]:
        """Hands one message over for sending, in the order of the calls.

        Usually an `async def`. One that hands messages over at once may return `streamer.core.stepping.DONE` instead.

        Args:
            connection_id: whom to.
            message: one JSON object.
            replaces: names a stream of which only the newest message counts (progress of a request). Under
                pressure an unsent one of the same name may be dropped for it. Messages without it are never dropped.
            final: the last message of that stream: an unsent one of the same name is dropped for it, and it is never
                dropped itself. Where clients can be pinged, `FrameReceiver.confirmed` reports that the client took it.

        Raises:
            ConnectionGone: no such connection any more.
        """
        ...

    def room(self, connection_id: str, /) -> Awaitable[None] | None:
        """Whether the connection takes messages as fast as they come: None while it does, or where nobody can know.

        Else what resolves once the client has taken most of what waits, or the connection has ended. A large message
        that can be read again later should wait for it.

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


class ConnectionDirectory(Protocol):
    """Finds connections by whom they speak for. Both built-in connection managers can."""

    async def by_user(self, user_id: str, /, tenant_id: str = "") -> list[str]:
        """The open connections of an authenticated user, as far as they are known; for `broadcast`."""
        ...

    async def by_tenant(self, tenant_id: str, /) -> list[str]:
        """The open connections of all users of a tenant, as far as they are known; for `broadcast`."""
        ...


class ConnectionInfo(NamedTuple):
    """What was written down when a connection began, and is needed for each message of it."""

    owner: str
    principal: Principal | None
    unconfirmed: tuple[str, ...] = ()
    """Outcomes that were sent to the connection, as `ConnectionRegistry.sent` named them, and not confirmed yet."""


class ConnectionRegistry(Protocol):
    """Connections whose messages come one by one, each to another process: what is known of them is kept elsewhere.

    A connection manager that has such connections offers this as `SharedConnections.connected`.
    """

    async def add(self, connection_id: str, known: ConnectionInfo, /) -> None:
        """The connection begins.

        Raises:
            StoreError: it could not be written down; the connection must be refused.
        """
        ...

    async def get(self, connection_id: str, /) -> ConnectionInfo | None:
        """What is known of it; None when it never began, has ended, or is older than a connection can be.

        Raises:
            StoreError: that cannot be told right now.
        """
        ...

    async def renew(self, connection_id: str, principal: Principal, /) -> None:
        """The connection has proved itself anew.

        Raises:
            ConnectionGone: it has ended.
            StoreError: it could not be written down.
        """
        ...

    async def sent(self, connection_id: str, request_id: str, at: float, /) -> None:
        """An outcome was handed to the gateway for this connection at that time. A later message confirms it.

        Of very many that nothing confirms some may be passed over; they stay unconfirmed.

        Raises:
            StoreError: it could not be written down.
        """
        ...

    async def confirm(self, connection_id: str, outcomes: Collection[str], /) -> None:
        """The client has shown that it took these outcomes, named as in `ConnectionInfo.unconfirmed`.

        Raises:
            StoreError: it could not be written down.
        """
        ...

    async def remove(self, connection_id: str, /) -> None:
        """The connection has ended. Nothing happens when it is not known.

        Raises:
            StoreError: it could not be deleted; it is forgotten later.
        """
        ...

    async def keep(self, name: str, value: bytes, /) -> bytes:
        """Keeps a small value for all processes. Returns what is kept: the first value that any of them gave.

        Raises:
            StoreError: it could not be read or written down.
        """
        ...


class SharedConnections(ConnectionManager, Protocol):
    """Connections that any process can send to: what their component declares as `several_processes`."""

    subscriptions: Subscriptions
    connected: ConnectionRegistry | None
    """None: each connection stays with one process, which knows it."""
    progress_interval: float
    """Seconds between two progress messages of one request, where `worker.progress_interval` is less."""


class Peer(Protocol):
    """One open connection, as the router sees it. All calls are made on the loop's thread and never block."""

    id: str
    owner: str
    """The principal's own; without one `client:` and a digest of the `client_id` that the client gave, or else
    `connection:…`."""
    principal: Principal | None
    """Who the connection has proved to be; replaced when the proof is renewed."""
    address: str
    """A keyed digest of the block of addresses that it comes from; empty where that does not count: with
    authentication, or where somebody else holds the connection."""
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
        """As `send`; while the client is slow only the newest message of that name is kept, until a final one.

        A final one is followed by a ping, whose pong `FrameReceiver.confirmed` reports.
        """
        ...

    @property
    def post(self) -> Callable[[], Awaitable[bool]] | None:
        """None where `send` sends by itself. Else posts what it has collected, and returns whether the connection took
        it; nothing may reach the connection by another way before.
        """
        ...

    def room(self) -> Awaitable[None] | None:
        """None while the client takes what it is sent; else what resolves once it has, or the connection has ended."""
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

    def confirmed(self, peer: Peer, names: Sequence[str], /) -> None:
        """The client has answered a ping that was sent after the final messages of these names: it took them.

        Also while the connection is being closed, and never after `disconnected`.
        """
        ...

    def waits(self, peer: Peer, /) -> bool:
        """Whether the client waits for something of the service; a connection that does is not idle."""
        ...

    def disconnected(self, peer: Peer, /) -> None:
        """The connection has ended; nothing more will come of it."""
        ...
