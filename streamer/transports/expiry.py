"""Closes connections whose authentication expires: one heap and one check per second for all of them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Any, Final

from streamer.contracts.connections import FrameReceiver, Peer, PeerRegistry
from streamer.core.clock import Clock
from streamer.core.principal import Principal
from streamer.transports.close_codes import TOKEN_EXPIRED

TICK: Final = 1.0
"""Seconds between two checks. They compare wall-clock times, so a clock that is changed needs no special handling."""
SLACK: Final = 64
"""Number of outdated entries in the heap before it is rebuilt."""


class TokenDeadlines:
    """When the authentication of each connection expires.

    Args:
        leeway: seconds for which expired authentication is still valid.
        clock: the service's.
    """

    def __init__(self, *, leeway: float, clock: Clock) -> None:
        self._leeway = leeway
        self._clock = clock
        self._peers: dict[str, Any] = {}
        self._heap: list[tuple[float, str]] = []
        self.by_connection: dict[str, float] = {}
        """Wall-clock seconds, for connections that expire. Read-only."""

    def add(self, peer: Any) -> None:
        """The connection is open."""
        self._peers[peer.id] = peer
        self._watch(peer.id, peer.principal)

    def remove(self, peer: Any) -> None:
        """The connection has ended."""
        self._peers.pop(peer.id, None)
        self.by_connection.pop(peer.id, None)

    def renew(self, connection_id: str, principal: Principal) -> None:
        """The connection has renewed its authentication; does nothing when it has ended."""
        peer = self._peers.get(connection_id)
        if peer is not None:
            peer.principal = principal
            self._watch(connection_id, principal)

    async def run(self) -> None:
        """Checks until it is cancelled."""
        while True:
            await self._clock.sleep(TICK)
            self.look()

    def look(self) -> None:
        """Closes the expired connections."""
        now = self._clock.now()
        heap = self._heap
        while heap and heap[0][0] <= now:
            deadline, connection_id = heapq.heappop(heap)
            if self.by_connection.get(connection_id) == deadline:
                end(self._peers[connection_id])

    def _watch(self, connection_id: str, principal: Principal) -> None:
        if principal.expires_at is None:
            self.by_connection.pop(connection_id, None)
            return
        deadline = principal.expires_at + self._leeway
        self.by_connection[connection_id] = deadline
        if len(self._heap) > 2 * len(self.by_connection) + SLACK:
            self._heap = [(at, which) for which, at in self.by_connection.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (deadline, connection_id))


class Expiry:
    """A `FrameReceiver` and `PeerRegistry` in front of both, for services whose principals may expire.

    Args:
        receiver: gets the messages of connections whose authentication is valid.
        registry: gets every connection.
        deadlines: of the connections.
        clock: the service's.
    """

    def __init__(
        self, receiver: FrameReceiver, registry: PeerRegistry, deadlines: TokenDeadlines, *, clock: Clock
    ) -> None:
        self._inner = receiver
        self._receive = receiver.receive
        self._registry = registry
        self._deadlines = deadlines
        self._by_connection = deadlines.by_connection
        self._clock = clock

    def receive(self, peer: Peer, frame: bytes) -> None:
        """No message is accepted after the deadline, even if the check is late."""
        if self._clock.now() < self._by_connection.get(peer.id, math.inf):
            self._receive(peer, frame)
        else:
            end(peer)

    def confirmed(self, peer: Peer, names: Sequence[str]) -> None:
        self._inner.confirmed(peer, names)

    def waits(self, peer: Peer) -> bool:
        return self._inner.waits(peer)

    def disconnected(self, peer: Peer) -> None:
        self._inner.disconnected(peer)

    def add(self, peer: Any) -> None:
        self._registry.add(peer)
        self._deadlines.add(peer)

    def remove(self, peer: Any) -> None:
        self._deadlines.remove(peer)
        self._registry.remove(peer)


def end(peer: Any) -> None:
    """Closes a connection whose authentication has expired."""
    peer.close(TOKEN_EXPIRED, "the token has expired")
