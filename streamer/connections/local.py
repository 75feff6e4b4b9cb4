"""The connections of this process."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.contracts.connections import Message
from streamer.core.errors import ConnectionGone

_encode = msgspec.json.Encoder().encode


class LocalConnections:
    """Part of `ConnectionManager` and `PeerRegistry`: the open connections by id, all in this process."""

    def __init__(self) -> None:
        self._peers: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, peer: Any, /) -> None:
        """Part of `PeerRegistry`."""
        self._peers[peer.id] = peer

    def remove(self, peer: Any, /) -> None:
        """Part of `PeerRegistry`."""
        self._peers.pop(peer.id, None)

    async def send(
        self, connection_id: str, message: Message, /, *, replaces: str | None = None, final: bool = False
    ) -> None:
        """Part of `ConnectionManager`."""
        peer = self._peers.get(connection_id)
        if peer is None:
            raise ConnectionGone(f"connection {connection_id} is not open")
        data = message if isinstance(message, bytes) else _encode(message)
        if replaces is None:
            peer.send(data)
        else:
            peer.send_latest(replaces, data, final)

    async def broadcast(self, connection_ids: list[str], message: Message, /) -> list[str]:
        """Part of `ConnectionManager`."""
        data = message if isinstance(message, bytes) else _encode(message)
        gone = []
        for connection_id in connection_ids:
            peer = self._peers.get(connection_id)
            if peer is None:
                gone.append(connection_id)
            else:
                peer.send(data)
        return gone

    async def is_active(self, connection_id: str, /) -> bool:
        """Part of `ConnectionManager`."""
        return connection_id in self._peers
