"""Which connections of this process get the messages of which requests, and which requests have lost their last one."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Collection
from typing import Final

from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.engine.waiting import wait_up_to

RETRY: Final = 1.0
"""Seconds after which an orphaned request is looked at again that was not cleared."""


class Subscription:
    """One connection that gets the messages of one request."""

    __slots__ = ("ended", "held", "waiting")

    def __init__(self) -> None:
        self.held: list[tuple[bytes, bool]] | None = []
        """What waits for the acknowledgment; None once that was sent."""
        self.ended = False
        """The terminal message is among what waits."""
        self.waiting = 1
        """How many messages of this connection are to be acknowledged with this request, or refused."""


class LocalSubscriptions:
    """Subscriptions in memory. They are `Orphans` as well: a request that the last one leaves is noted if it ends so.

    Args:
        clock: the service's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.by_key: dict[Key, dict[str, Subscription]] = {}
        """By request, and then by connection. For reading only."""
        self._by_connection: dict[str, set[Key]] = {}
        self._ends_after: dict[Key, float] = {}
        self._orphaned_at: dict[Key, float] = {}
        """When the time of each request is over that has lost its last subscriber; the newest loss counts."""
        self._looks: list[tuple[float, float, Key]] = []
        """When to look at which request, and when its time is over; out of date where `_orphaned_at` says otherwise."""
        self._changed = asyncio.Event()

    def add(self, key: Key, connection_id: str) -> bool:
        """Subscribes the connection. Returns whether that is new; otherwise it waits for one more acknowledgment."""
        connections = self.by_key.setdefault(key, {})
        if (subscription := connections.get(connection_id)) is not None:
            subscription.waiting += 1
            return False
        connections[connection_id] = Subscription()
        self._by_connection.setdefault(connection_id, set()).add(key)
        return True

    def get(self, key: Key, connection_id: str) -> Subscription | None:
        """The subscription of this connection to this request."""
        connections = self.by_key.get(key)
        return None if connections is None else connections.get(connection_id)

    def remove(self, key: Key, connection_id: str) -> None:
        """Ends one subscription."""
        self._remove(key, connection_id)
        keys = self._by_connection.get(connection_id)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._by_connection[connection_id]

    def leave(self, connection_id: str) -> None:
        """The connection has ended, and all its subscriptions with it."""
        for key in self._by_connection.pop(connection_id, ()):
            ends_after = self._remove(key, connection_id)
            if ends_after is not None:
                self.orphan(key, ends_after)

    def subscribed(self, connection_id: str) -> bool:
        """Whether the connection has any subscription."""
        return connection_id in self._by_connection

    def keys(self) -> Collection[Key]:
        """The requests that have subscribers."""
        return self.by_key.keys()

    def ends_after(self, key: Key, seconds: float) -> None:
        """When the last of the subscribers of now, or of those that join them, has left, the request is orphaned."""
        if key in self.by_key:
            self._ends_after[key] = seconds
        else:
            # The last one left while the request was being read: nothing else will say so.
            self.orphan(key, seconds)

    def orphan(self, key: Key, after: float) -> None:
        """The request has lost its last subscriber; its time is over in so many seconds."""
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

    def _remove(self, key: Key, connection_id: str) -> float | None:
        """Returns what `ends_after` says when that was the last subscriber."""
        connections = self.by_key.get(key)
        if connections is None:
            return None
        connections.pop(connection_id, None)
        if connections:
            return None
        del self.by_key[key]
        return self._ends_after.pop(key, None)
