"""Connections of several gateways: each holds some, and reaches the others over a bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from streamer.connections.local import LocalConnections, encoded
from streamer.contracts.bus import Bus
from streamer.contracts.connections import ConnectionRegistry, Forward, Message
from streamer.contracts.stores import Key
from streamer.contracts.subscriptions import Subscriptions
from streamer.core.errors import ConnectionGone, NotSent

_AT: Final = "@"
"""Separates a connection's id from its gateway in names for other processes."""


class _Envelope(NamedTuple):
    """A message for a gateway, on the bus."""

    connection_id: str
    message: bytes
    request_id: str | None
    """The request whose stream of messages it belongs to."""
    final: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Envelope).decode


class ClusterConnections(LocalConnections):
    """`SharedSockets` over a bus: for a component that declares `holds_sockets` and `several_processes`.

    The connections of this process are identified by their ids, those of others by id and gateway. A process that only
    runs requests also has an object of this class: it holds no connections, and sends to those of all gateways.

    Args:
        bus: between the processes.
        subscriptions: shared by all processes, with the names that other processes use.
        gateway: the unique address of this process on the bus, which no other process has ever used.
        progress_interval: minimum seconds between two progress messages of one request.
    """

    connected: ConnectionRegistry | None = None

    def __init__(self, bus: Bus, subscriptions: Subscriptions, gateway: str, *, progress_interval: float = 0.1) -> None:
        super().__init__()
        self.subscriptions: Subscriptions = GatewaySubscriptions(subscriptions, gateway)
        self.progress_interval = progress_interval
        self._bus = bus
        self._gateway = gateway
        self._forward: Forward | None = None

    @asynccontextmanager
    async def receiving(self, forward: Forward, /) -> AsyncIterator[None]:
        self._forward = forward
        async with self._bus.listen(self._gateway, self._receive):
            yield

    def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> Awaitable[None]:
        name, at, gateway = connection_id.rpartition(_AT)
        if not at:
            return super().send(connection_id, message, replaces=replaces, final=final)
        return self._bus.publish(gateway, _encode(_Envelope(name, encoded(message), replaces, final)))

    def room(self, connection_id: str, /) -> Awaitable[None] | None:
        """None for other gateways' connections, since their gateway waits for slow clients."""
        return None if _AT in connection_id else super().room(connection_id)

    async def broadcast(self, connection_ids: list[str], message: Message, /) -> list[str]:
        data = encoded(message)
        sent = await asyncio.gather(*(self._reached(one, data) for one in connection_ids))
        return [one for one, reached in zip(connection_ids, sent, strict=True) if not reached]

    async def is_active(self, connection_id: str, /) -> bool:
        """Connections of other gateways are only known to have been open, so they count as active."""
        return _AT in connection_id or await super().is_active(connection_id)

    async def _reached(self, connection_id: str, message: bytes) -> bool:
        try:
            await self.send(connection_id, message)
        except (ConnectionGone, NotSent):
            return False
        return True

    def _receive(self, data: bytes) -> None:
        connection_id, message, request_id, final = _decode(data)
        peer = self.get(connection_id)
        # A connection that has ended does not concern the sender: its gateway ends its subscriptions.
        if peer is not None:
            if request_id is None:
                peer.send(message)
            elif self._forward is not None:
                self._forward((peer.owner, request_id), connection_id, message, final)


class GatewaySubscriptions:
    """`Subscriptions` in which the connections of one gateway have only their ids as names.

    Args:
        subscriptions: contain each connection under its name for all processes.
        gateway: whose connections are identified only by their ids.
    """

    def __init__(self, subscriptions: Subscriptions, gateway: str) -> None:
        self._subscriptions = subscriptions
        self._suffix = f"{_AT}{gateway}"

    async def add(self, key: Key, connection_id: str, /, ends_after: float | None = None) -> None:
        await self._subscriptions.add(key, self._named(connection_id), ends_after)

    async def of(self, key: Key, /, claimed_before: float | None = None) -> list[str]:
        return [one.removesuffix(self._suffix) for one in await self._subscriptions.of(key, claimed_before)]

    async def claim(self, key: Key, connection_id: str, /, claimed_before: float | None = None) -> bool:
        return await self._subscriptions.claim(key, self._named(connection_id), claimed_before)

    async def leave(self, connection_id: str, /) -> list[tuple[Key, float]]:
        return await self._subscriptions.leave(self._named(connection_id))

    async def is_orphaned(self, key: Key, /) -> bool:
        return await self._subscriptions.is_orphaned(key)

    async def orphaned(self, limit: int = 100, /) -> list[Key]:
        return await self._subscriptions.orphaned(limit)

    async def clear(self, key: Key, /) -> None:
        await self._subscriptions.clear(key)

    def _named(self, connection_id: str) -> str:
        return connection_id if _AT in connection_id else f"{connection_id}{self._suffix}"
