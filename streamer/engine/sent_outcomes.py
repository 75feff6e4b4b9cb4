"""Records which outcomes were sent to a connection, if a later message of its client confirms them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from streamer.contracts.connections import ConnectionRegistry
from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.errors import StoreError

MarkSent = Callable[[Sequence[Key]], Awaitable[None]]


class SentOutcomes:
    """Records them with the connection, and in the store.

    A gateway also accepts messages for clients that have disconnected, so a sent outcome is not delivered yet.

    Args:
        registry: records them with the connection.
        mark_sent: `WokenQueue.mark_sent`, so that they are not searched as unsent; None: the store has no such search.
        clock: for when they were sent.
        logger: for failed writes.
    """

    def __init__(self, registry: ConnectionRegistry, mark_sent: MarkSent | None, *, clock: Clock, logger: Any) -> None:
        self._registry = registry
        self._mark_sent = mark_sent
        self._clock = clock
        self._logger = logger

    async def note(self, key: Key, connection_id: str, sending: Awaitable[None]) -> None:
        """Waits until the outcome is sent, and records the time at which sending started."""
        at = self._clock.now()
        await sending
        noting: list[Awaitable[None]] = [self._registry.sent(connection_id, key[1], at)]
        if self._mark_sent is not None:
            noting.append(self._mark_sent([key]))
        try:
            await asyncio.gather(*noting)
        except StoreError as problem:
            # At worst, an owner gets an outcome twice.
            self._logger.warning("a delivery was not recorded", request_id=key[1], error=str(problem))
