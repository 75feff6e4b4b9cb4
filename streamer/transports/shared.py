"""What all connections of a transport have in common."""

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
"""Bytes that one turn may queue before they are handed on without waiting for its end, and so are counted."""
WINDOW: Final = 1 / 4
"""Of `max_buffered`: so much of final messages may be unconfirmed before the next one waits for the client, which is to
take one after the other. So what is on its way is little, whatever the kernel would buffer: a pong, or a client that
comes back after a break, does not wait for much."""


class Shared:
    """One object for all connections of a transport."""

    __slots__ = (
        "begin",
        "crowd",
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
        crowd: ConnectionLimits,
    ) -> None:
        self.receiver = receiver
        self.registry = registry
        self.loop = loop
        self.logger = logger
        self.max_message_size = max_message_size
        self.max_buffered = max_buffered
        self.crowd = crowd
        self.refuses = refuses
        """Counts so many messages of a connection that were no request; above zero when there were too many."""
        # Bound once here, because each connection would otherwise keep bound methods of its own.
        self.receive = receiver.receive
        self.begin = Flusher(loop).begin
        self.ping_now = PingPace(loop).begin
        """Whether a connection is to be asked now which outcomes were taken; if not, it is later."""
        self.window = WINDOW * max_buffered
        """Bytes that may wait to be confirmed before the next outcome waits for the client."""
        self.little = min(CHUNK, self.window / 2)
        """Bytes that may wait to be confirmed without being asked after at once."""
        self.peers: set[Any] = set()
        self.lingering: set[Linger] = set()
        self.empty = asyncio.Event()
        """Set while no connection is open."""
        self.empty.set()
