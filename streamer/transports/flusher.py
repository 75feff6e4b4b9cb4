"""One flush of all connections at the end of the loop's turn."""

from __future__ import annotations

import asyncio
from typing import Any


class Flusher:
    """Decides when what was queued in a turn of the loop is written.

    A write is a system call, and it costs more than the rest of a short request; so the answers of one turn leave in
    one write per connection, when the turn ends. When next to nothing happens that would only add latency: while the
    last turn wrote to at most one connection, the first message of a turn is written at once.
    """

    __slots__ = ("_call_soon", "_direct", "_peers", "_scheduled", "_wrote")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._peers: list[Any] = []
        self._scheduled = False
        self._direct = True
        self._wrote = False

    def at_once(self) -> bool:
        """Whether the caller may write its message now instead of queueing it."""
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._flush)
            if self._direct:
                self._wrote = True
                return True
        return False

    def add(self, peer: Any) -> None:
        """The peer has something queued; its `flush` is called when the turn ends."""
        self._peers.append(peer)

    def _flush(self) -> None:
        peers = self._peers
        self._peers = []
        self._scheduled = False
        self._direct = len(peers) + self._wrote <= 1
        self._wrote = False
        for peer in peers:
            peer.flush()
