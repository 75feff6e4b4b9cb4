"""The subscriptions of this process's connections, and the requests that have lost their last one."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Awaitable, Collection, Mapping
from typing import Final

from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.coroutines import DONE
from streamer.engine.subscribers import Send
from streamer.engine.timeouts import wait_up_to

RETRY: Final = 1.0
"""Seconds after which an orphaned request that was not cleared is checked again."""


class LocalSubscriptions:
    """`Subscribers` in memory. They are also `Orphans`: a request that depends on its subscribers is recorded when the
    last one leaves.

    Args:
        clock: the service's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.by_key: dict[Key, dict[str, None]] = {}
        """By request: its connections, the oldest subscription first. Read-only."""
        self._by_connection: dict[str, set[Key]] = {}
        self.here: Mapping[str, Collection[Key]] = self._by_connection
        self._ends_after: dict[Key, float] = {}
        self._orphaned_at: dict[Key, float] = {}
        """When the grace period of each request without subscribers is over; the newest loss counts."""
        self._looks: list[tuple[float, float, Key]] = []
        """When to check which request, and when its grace period is over; outdated where `_orphaned_at` differs."""
        self._changed = asyncio.Event()

    def add(self, key: Key, connection_id: str, ends_after: float | None = None, /) -> Awaitable[None]:
        """`ends_after` applies to all subscribers of the request, including later ones."""
        self.by_key.setdefault(key, {})[connection_id] = None
        self._by_connection.setdefault(connection_id, set()).add(key)
        if ends_after is not None:
            self._ends_after[key] = ends_after
        return DONE

    def each(self, key: Key, send: Send, /) -> Awaitable[None]:
        connections = self.by_key.get(key)
        if connections is None:
            return DONE
        if len(connections) > 1:
            return self._to_each(key, send)
        (connection_id,) = connections
        return send(connection_id)

    async def _to_each(self, key: Key, send: Send) -> None:
        for connection_id in tuple(self.by_key.get(key, ())):
            # While another connection was being served, this one may have got the outcome, or ended.
            if connection_id in self.by_key.get(key, ()):
                await send(connection_id)

    def once(self, key: Key, send: Send, claimed_before: float | None = None, /) -> Awaitable[None]:
        """`claimed_before` has no effect: only this process sends to these connections."""
        del claimed_before
        connections = self.by_key.get(key)
        if connections is None:
            return DONE
        if len(connections) > 1:
            return self._once_to_each(key, send)
        (connection_id,) = connections
        self._remove(key, connection_id)
        return send(connection_id)

    async def _once_to_each(self, key: Key, send: Send) -> None:
        for connection_id in tuple(self.by_key.get(key, ())):
            if self._remove(key, connection_id):
                await send(connection_id)

    async def claim(self, key: Key, connection_id: str, /) -> bool:
        return self._remove(key, connection_id)

    def leave(self, connection_id: str, /) -> Awaitable[None]:
        for key in self._by_connection.pop(connection_id, ()):
            ends_after = self._forget(key, connection_id)
            if ends_after is not None:
                self.orphan(key, ends_after)
        return DONE

    def orphan(self, key: Key, after: float) -> None:
        """The request has lost its last subscriber; its grace period is over after this many seconds."""
        at = self._clock.monotonic() + after
        self._orphaned_at[key] = at
        heapq.heappush(self._looks, (at, at, key))
        self._changed.set()

    async def is_orphaned(self, key: Key, /) -> bool:
        return key not in self.by_key and self._orphaned_at.get(key, math.inf) <= self._clock.monotonic()

    async def orphaned(self, limit: int = 100, /) -> list[Key]:
        now = self._clock.monotonic()
        found: list[Key] = []
        while self._looks and self._looks[0][0] <= now and len(found) < limit:
            _, at, key = heapq.heappop(self._looks)
            if self._orphaned_at.get(key) == at:
                found.append(key)
                heapq.heappush(self._looks, (now + RETRY, at, key))
        return found

    async def clear(self, key: Key, /) -> None:
        if self._orphaned_at.get(key, math.inf) <= self._clock.monotonic():
            del self._orphaned_at[key]

    async def orphan_due(self) -> None:
        """Returns when `orphaned` has something to return."""
        while True:
            self._changed.clear()
            looks = self._looks
            while looks and self._orphaned_at.get(looks[0][2]) != looks[0][1]:
                heapq.heappop(looks)
            if not looks:
                await self._changed.wait()
                continue
            delay = looks[0][0] - self._clock.monotonic()
            if delay <= 0:
                return
            await wait_up_to(delay, self._changed.wait(), self._clock)

    def _remove(self, key: Key, connection_id: str) -> bool:
        """Returns whether the connection was subscribed."""
        keys = self._by_connection.get(connection_id)
        if keys is None or key not in keys:
            return False
        keys.discard(key)
        if not keys:
            del self._by_connection[connection_id]
        self._forget(key, connection_id)
        return True

    def _forget(self, key: Key, connection_id: str) -> float | None:
        """Returns the grace period of the request that has lost its last subscriber with this one."""
        connections = self.by_key[key]
        del connections[connection_id]
        if connections:
            return None
        del self.by_key[key]
        return self._ends_after.pop(key, None)
