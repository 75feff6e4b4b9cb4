"""What all connections of a transport have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from streamer.contracts.connections import FrameReceiver, PeerRegistry
from streamer.transports.crowd import Crowd
from streamer.transports.flusher import Flusher
from streamer.transports.linger import Linger


class Shared:
    """One object for all connections of a transport."""

    __slots__ = (
        "begin",
        "crowd",
        "empty",
        "lingering",
        "logger",
        "loop",
        "max_buffered",
        "max_message_size",
        "peers",
        "receive",
        "receiver",
        "refuses",
        "registry",
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
        crowd: Crowd,
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
        self.peers: set[Any] = set()
        self.lingering: set[Linger] = set()
        self.empty = asyncio.Event()
        """Set while no connection is open."""
        self.empty.set()
