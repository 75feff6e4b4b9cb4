"""Observes a transport: its open connections, what they send and are sent, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from streamer.admin.counters import OTHER, Counts
from streamer.contracts.connections import FrameReceiver, Peer, PeerRegistry
from streamer.core.clock import Clock
from streamer.transports import close_codes
from streamer.transports.peer import WebSocketPeer
from streamer.transports.pending_auth import PendingAuth
from streamer.transports.websocket import PeerTypes

_NO_CLOSE_FRAME: Final = 1006
"""The code of a connection that ended without a close frame (RFC 6455, section 7.1.5)."""
_CLOSE_CODES: Final = close_codes.SENT | {_NO_CLOSE_FRAME}
"""Codes with their own label. A client may send any code, and must not add a series."""
_TEXT: Final = 0x81
"""The first byte of a whole text message (RFC 6455, section 5.2); a ping has another."""


class OpenPeer(NamedTuple):
    """One open connection."""

    number: int
    """Rises with each connection of the process."""
    peer: Any
    opened_at: float
    """Wall-clock seconds."""


class Connections:
    """The open connections of one transport.

    Args:
        counts: where they are counted.
        clock: the service's.

    Attributes:
        peers: by id, in the order in which they were opened.
    """

    def __init__(self, counts: Counts, clock: Clock) -> None:
        self.peers: dict[str, OpenPeer] = {}
        self._counts = counts
        self._clock = clock
        self._closing: set[str] = set()

    def receiver(self, receiver: FrameReceiver) -> FrameReceiver:
        """The receiver of messages, observed."""
        return ObservedReceiver(receiver, self._counts)

    def registry(self, registry: PeerRegistry) -> PeerRegistry:
        """The registry of connections, observed."""
        return ObservedRegistry(registry, self)

    def peer_types(self) -> PeerTypes:
        """Connections whose messages are counted."""
        counted = {"__slots__": (), "counts": self._counts, "ended": self.ended}
        return PeerTypes(
            type("ObservedPeer", (ObservedSending, WebSocketPeer), counted),
            type("ObservedPendingPeer", (ObservedSending, PendingAuth), counted),
        )

    def opened(self, peer: Any) -> None:
        """The connection is open."""
        self._counts.opened += 1
        self.peers[peer.id] = OpenPeer(self._counts.opened, peer, self._clock.now())

    def closing(self, peer: Any) -> None:
        """Nothing more can be sent to the connection."""
        if self.peers.pop(peer.id, None) is not None:
            self._closing.add(peer.id)

    def ended(self, connection_id: str, handshake: Any) -> None:
        """The socket has ended; one that never was a connection is not counted."""
        if connection_id in self._closing or connection_id in self.peers:
            self._closing.discard(connection_id)
            self._counts.closed[close_label(handshake)] += 1


class ObservedReceiver:
    """Counts messages of clients, in front of a `FrameReceiver`.

    Args:
        receiver: gets every message.
        counts: of them.
    """

    def __init__(self, receiver: FrameReceiver, counts: Counts) -> None:
        handle = receiver.receive

        def receive(peer: Peer, frame: bytes, /) -> None:
            counts.messages_in += 1
            counts.bytes_in += len(frame)
            handle(peer, frame)

        # A function and no method, because it is in the path of every message.
        self.receive: Callable[[Peer, bytes], None] = receive
        # Nothing to count there: no call in between.
        self.confirmed: Callable[[Peer, Sequence[str]], None] = receiver.confirmed
        self.waits: Callable[[Peer], bool] = receiver.waits
        self.disconnected: Callable[[Peer], None] = receiver.disconnected


class ObservedRegistry:
    """Lists the open connections for the admin port, in front of a `PeerRegistry`.

    Args:
        registry: gets every connection.
        connections: lists the open ones.
    """

    def __init__(self, registry: PeerRegistry, connections: Connections) -> None:
        self._registry = registry
        self._connections = connections

    def add(self, peer: Any, /) -> None:
        self._registry.add(peer)
        self._connections.opened(peer)

    def remove(self, peer: Any, /) -> None:
        self._connections.closing(peer)
        self._registry.remove(peer)


class ObservedSending:
    """Counts what is sent to a connection, and how it ended. A base class in front of the transport's own classes."""

    __slots__ = ()
    counts: Counts
    ended: Callable[[str, Any], None]
    id: str

    def _put(self, data: bytes, parts: Sequence[bytes] = ()) -> None:
        # Once a write, and not once a message: what is sent within a turn of the loop is one write.
        counts = self.counts
        counts.bytes_out += len(data)
        counts.messages_out += len(parts) // 2 or data[0] == _TEXT
        super()._put(data, parts)  # type: ignore[misc]  # of the class behind this one

    def on_ws_disconnected(self, transport: Any) -> None:
        self.ended(self.id, transport.close_handshake)
        super().on_ws_disconnected(transport)  # type: ignore[misc]  # as above


def close_label(handshake: Any) -> str:
    """The close code of the side that closed first.

    Args:
        handshake: what the library knows of the closing; None where there was no close frame.
    """
    if handshake is None:
        return str(_NO_CLOSE_FRAME)
    first = handshake.recv if handshake.recv_then_sent or handshake.sent is None else handshake.sent
    code = _NO_CLOSE_FRAME if first is None else int(first.code)
    return str(code) if code in _CLOSE_CODES else OTHER
