"""The connections of this process."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

import msgspec

from streamer.contracts.connections import Message, Peer
from streamer.core.coroutines import DONE
from streamer.core.errors import ConnectionGone


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a message may not contain a {type(value).__name__}")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def encoded(message: Message) -> bytes:
    """The message as JSON text."""
    return message if isinstance(message, bytes) else _encode(message)


class LocalConnections:
    """A `ConnectionManager` and `PeerRegistry`: the open connections by id, all in this process."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def get(self, connection_id: str) -> Peer | None:
        """The open connection with that id."""
        return self._peers.get(connection_id)

    def add(self, peer: Peer, /) -> None:
        self._peers[peer.id] = peer

    def remove(self, peer: Peer, /) -> None:
        self._peers.pop(peer.id, None)

    def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> Awaitable[None]:
        peer = self._peers.get(connection_id)
        if peer is None:
            raise ConnectionGone(f"connection {connection_id} is not open")
        data = encoded(message)
        if replaces is None:
            peer.send(data)
        else:
            peer.send_latest(replaces, data, final)
        return DONE

    def room(self, connection_id: str, /) -> Awaitable[None] | None:
        peer = self._peers.get(connection_id)
        if peer is None:
            raise ConnectionGone(f"connection {connection_id} is not open")
        return peer.room()

    async def broadcast(self, connection_ids: list[str], message: Message, /) -> list[str]:
        """The message is encoded once."""
        data = encoded(message)
        gone = []
        for connection_id in connection_ids:
            peer = self._peers.get(connection_id)
            if peer is None:
                gone.append(connection_id)
            else:
                peer.send(data)
        return gone

    async def is_active(self, connection_id: str, /) -> bool:
        return connection_id in self._peers

    async def by_user(self, user_id: str, /, tenant_id: str = "") -> list[str]:
        """Scans all connections, since no index is kept for this rare call."""
        return [
            peer.id
            for peer in self._peers.values()
            if (principal := peer.principal) is not None
            and principal.user_id == user_id
            and principal.tenant_id == tenant_id
        ]

    async def by_tenant(self, tenant_id: str, /) -> list[str]:
        return [
            peer.id
            for peer in self._peers.values()
            if (principal := peer.principal) is not None and principal.tenant_id == tenant_id
        ]
