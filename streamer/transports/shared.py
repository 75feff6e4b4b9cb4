"""The shared state of all connections of a transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from streamer.contracts.connections import FrameReceiver, PeerRegistry
from streamer.transports.connection_limits import ConnectionLimits
from streamer.transports.flusher import Flusher
from streamer.transports.linger import Linger
from streamer.transports.ping_pace import PingPace

CHUNK: Final = 64 * 1024
"""Bytes that one iteration may queue before they are passed to the kernel without waiting for its end, and so are
counted.
"""
WINDOW: Final = 1 / 4
"""Fraction of `max_buffered`: if more bytes of final messages are unconfirmed, the next one waits for the client. So
little data is in transit, whatever the kernel would buffer: a pong, or a client that reconnects after a break, need not
wait long.
"""


class Shared:
    """One object for all connections of a transport."""

    __slots__ = (
        "begin",
        "connection_limits",
        "empty",
        "lingering",
        "little",
        "logger",
        "loop",
        "max_buffered",
        "max_message_size",
        "peers",
        "ping_now",
        "receive",
        "receiver",
        "refuses",
        "registry",
        "window",
    )

    def __init__(
        self,
        *,
        receiver: FrameReceiver,
        registry: PeerRegistry,
        loop: asyncio.AbstractEventLoop,
        logger: Any,
        max_message_size: int,
        max_buffered: int,
        refuses: Callable[[str, int], float],
        connection_limits: ConnectionLimits,
    ) -> None:
        self.receiver = receiver
        self.registry = registry
        self.loop = loop
        self.logger = logger
        self.max_message_size = max_message_size
        self.max_buffered = max_buffered
        self.connection_limits = connection_limits
        self.refuses = refuses
        """Counts invalid messages of a connection; positive when there were too many."""
        # Bound once here, because otherwise each connection would keep its own bound methods.
        self.receive = receiver.receive
        self.begin = Flusher(loop).begin
        self.ping_now = PingPace(loop).begin
        """Whether a connection may be pinged now to confirm outcomes; if not, that happens later."""
        self.window = WINDOW * max_buffered
        """Bytes that may be unconfirmed before the next outcome waits for the client."""
        self.little = min(CHUNK, self.window / 2)
        """Bytes that may be unconfirmed without an immediate ping."""
        self.peers: set[Any] = set()
        self.lingering: set[Linger] = set()
        self.empty = asyncio.Event()
        """Set while no connection is open."""
        self.empty.set()
