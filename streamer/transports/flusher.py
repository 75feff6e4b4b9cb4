"""Flushes all connections once at the end of each iteration of the loop."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Flushable(Protocol):
    """An object that can write what it has queued."""

    def flush(self) -> None:
        """Writes everything that is queued."""
        ...


class Flusher:
    """Decides when messages that are queued in an iteration of the loop are written.

    A write is a system call, which costs more than the rest of a short request. So the messages of one iteration are
    written in one call per connection, when the iteration ends. With little traffic that would only add latency: while
    the last iteration wrote to at most one connection, the first message of an iteration is written immediately.
    """

    __slots__ = ("_call_soon", "_direct", "_peers", "_scheduled", "_wrote")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._peers: list[Flushable] = []
        self._scheduled = False
        self._direct = True
        self._wrote = False

    def begin(self, peer: Flushable) -> bool:
        """Called with the first message of a connection in an iteration.

        Returns True when it must be written now; otherwise the connection's `flush` is called when the iteration ends.
        """
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._end)
            if self._direct:
                self._wrote = True
                return True
        self._peers.append(peer)
        return False

    def _end(self) -> None:
        peers = self._peers
        self._peers = []
        self._scheduled = False
        self._direct = len(peers) + self._wrote <= 1
        self._wrote = False
        for peer in peers:
            peer.flush()
