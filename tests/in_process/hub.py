"""What the processes of one service share."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from streamer.connections.cluster import ClusterConnections
from streamer.contracts.bus import Receive
from streamer.contracts.stores import Existing, Key, Lease
from streamer.core.clock import Clock, SystemClock
from streamer.core.records import RequestRecord
from streamer.stores.memory import MemoryStore


class InProcessBus:
    """A `Bus` that hands each message over at once. It is unlike life in this: nothing is lost."""

    def __init__(self) -> None:
        self._listeners: dict[str, Receive] = {}

    async def publish(self, address: str, message: bytes, /) -> None:
        receive = self._listeners.get(address)
        if receive is not None:
            receive(message)

    @asynccontextmanager
    async def listen(self, address: str, receive: Receive, /) -> AsyncIterator[None]:
        assert address not in self._listeners, "no two processes listen at one address"
        self._listeners[address] = receive
        try:
            yield
        finally:
            del self._listeners[address]


class MemorySubscriptions:
    """`Subscriptions` in dictionaries.

    Args:
        clock: of all processes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[Key, dict[str, float | None]] = {}
        """By request and connection: when its outcome was claimed."""
        self._ends_after: dict[tuple[str, Key], float] = {}
        self._left: dict[Key, float] = {}
        """When the time of each request is over that a subscriber left."""

    async def add(self, key: Key, connection_id: str, /, ends_after: float | None = None) -> None:
        self._rows.setdefault(key, {})[connection_id] = None
        if ends_after is not None:
            self._ends_after[connection_id, key] = ends_after

    async def of(self, key: Key, /, claimed_before: float | None = None) -> list[str]:
        return [one for one in self._rows.get(key, {}) if self._open(key, one, claimed_before)]

    async def claim(self, key: Key, connection_id: str, /, claimed_before: float | None = None) -> bool:
        if connection_id not in self._rows.get(key, {}) or not self._open(key, connection_id, claimed_before):
            return False
        self._rows[key][connection_id] = self._clock.now()
        return True

    async def leave(self, connection_id: str, /) -> list[tuple[Key, float]]:
        left = [(key, after) for (name, key), after in self._ends_after.items() if name == connection_id]
        for key, after in left:
            del self._ends_after[connection_id, key]
            self._rows.get(key, {}).pop(connection_id, None)
            self._left[key] = self._clock.now() + after
        return left

    async def is_orphaned(self, key: Key, /) -> bool:
        return self._over(key) and not await self.of(key)

    async def orphaned(self, limit: int = 100, /) -> list[Key]:
        return list(itertools.islice(filter(self._over, self._left), limit))

    async def clear(self, key: Key, /) -> None:
        self._left.pop(key, None)

    def _open(self, key: Key, connection_id: str, claimed_before: float | None) -> bool:
        claimed = self._rows[key][connection_id]
        return claimed is None or (claimed_before is not None and claimed <= claimed_before)

    def _over(self, key: Key) -> bool:
        return key in self._left and self._left[key] <= self._clock.now()


class QueueView:
    """A `WatchedQueue`: what one process has of the queue that all of them use.

    Args:
        queue: the one.
        watchers: of all views.
    """

    def __init__(self, queue: MemoryStore, watchers: list[Callable[[], None]]) -> None:
        self._queue = queue
        self._watchers = watchers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def enqueue(self, record: RequestRecord, /) -> Existing | None:
        existing = await self._queue.enqueue(record)
        self._report()
        return existing

    async def requeue(self, key: Key, /) -> RequestRecord:
        record = await self._queue.requeue(key)
        self._report()
        return record

    async def release(self, leases: Sequence[Lease], /) -> None:
        await self._queue.release(leases)
        self._report()

    async def watch(self, wake: Callable[[], None], /) -> None:
        self._watchers.append(wake)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._watchers.remove(wake)

    async def close(self) -> None:
        """The queue is not this process's own."""

    def _report(self) -> None:
        for wake in self._watchers:
            wake()


class Hub:
    """Everything that is shared.

    Args:
        clock: of all processes.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.bus = InProcessBus()
        self.subscriptions = MemorySubscriptions(clock)
        self._queue = MemoryStore(clock)
        self._watchers: list[Callable[[], None]] = []
        self._processes = itertools.count(1)

    def queue(self) -> QueueView:
        """For one process."""
        return QueueView(self._queue, self._watchers)

    def connections(self) -> ClusterConnections:
        """For one process."""
        return ClusterConnections(self.bus, self.subscriptions, f"process-{next(self._processes)}")
