"""Which outcomes have reached their owners: noted in batches, a moment after they were sent."""

from __future__ import annotations

from typing import Any

from streamer.contracts.connections import ConnectionManager
from streamer.contracts.stores import Key, RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError

INTERVAL = 1.0
"""Seconds between two notes; an outcome counts as delivered when its connection still lives at the next one."""


class Receipts:
    """Outcomes that were handed to a connection, and are noted as delivered if that lived on.

    A connection says nothing of what it received. One that is open a second later had the outcome in all likelihood;
    one that has ended may not have, and its owner gets the outcome again on resuming.
    """

    def __init__(self, queue: RequestQueue, connections: ConnectionManager, *, clock: Clock, logger: Any) -> None:
        self._queue = queue
        self._connections = connections
        self._clock = clock
        self._logger = logger
        self._fresh: dict[Key, str] = {}
        self._ripe: dict[Key, str] = {}

    def note(self, key: Key, connection_id: str) -> None:
        """The outcome was handed to the connection."""
        self._fresh[key] = connection_id

    async def run(self) -> None:
        """Writes notes down until it is cancelled."""
        while True:
            await self._clock.sleep(INTERVAL)
            await self.write()

    async def write(self) -> None:
        """Writes down what was handed over before the last call, and lets the newer ones ripen."""
        ripe, self._ripe, self._fresh = self._ripe, self._fresh, {}
        delivered = [key for key, connection_id in ripe.items() if await self._connections.is_active(connection_id)]
        if not delivered:
            return
        try:
            await self._queue.mark_delivered(delivered)
        except StoreError as problem:
            # The worst that follows is that an owner hears of an outcome twice.
            self._logger.warning("deliveries were not noted", count=len(delivered), error=str(problem))
