"""One flush of all connections at the end of the loop's turn."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Flushable(Protocol):
    """Something that can write what it has queued."""

    def flush(self) -> None:
        """Writes all that is queued."""
        ...


class Flusher:
    """Decides when what was queued in a turn of the loop is written.

    A write is a system call, and it costs more than the rest of a short request; so the answers of one turn leave in
    one write per connection, when the turn ends. When next to nothing happens that would only add latency: while the
    last turn wrote to at most one connection, the first message of a turn is written at once.
    """

    __slots__ = ("_begun", "_call_soon", "_direct", "_peers", "_wrote")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._peers: list[Flushable] = []
        self._begun = False
        self._direct = True
        self._wrote = False

    def begin(self, peer: Flushable) -> bool:
        """Called with the first message that a connection has in a turn.

        Returns True when it is to be written now; otherwise the connection's `flush` is called when the turn ends.
        """
        if not self._begun:
            self._begun = True
            self._call_soon(self._end)
            if self._direct:
                self._wrote = True
                return True
        self._peers.append(peer)
        return False

    def _end(self) -> None:
        peers = self._peers
        self._peers = []
        self._begun = False
        self._direct = len(peers) + self._wrote <= 1
        self._wrote = False
        for peer in peers:
            peer.flush()
