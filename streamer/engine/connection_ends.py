"""Handles the end of connections where subscriptions are stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from streamer.contracts.stores import Key
from streamer.contracts.subscriptions import Subscriptions
from streamer.core.errors import StoreError

OnOrphaned = Callable[[Key, float], Awaitable[None]]
"""Called when a subscriber has left a request that depends on its subscribers, with the seconds after which the request
is cancelled if it has none then.
"""


class ConnectionEnds:
    """Ends the subscriptions of connections that have ended.

    Args:
        subscriptions: the stored ones.
        on_orphaned: called for each request that may have lost its last subscriber.
        logger: for failed writes.
    """

    def __init__(self, subscriptions: Subscriptions, on_orphaned: OnOrphaned, logger: Any) -> None:
        self._subscriptions = subscriptions
        self._on_orphaned = on_orphaned
        self._logger = logger

    async def ended(self, connection_id: str) -> None:
        """Returns when it is stored, or has failed, which is logged."""
        try:
            for key, after in await self._subscriptions.leave(connection_id):
                await self._on_orphaned(key, after)
        except StoreError as problem:
            self._logger.warning(
                "the end of a connection was not stored", connection_id=connection_id, error=str(problem)
            )


async def left_to_sweep(_key: Key, _after: float) -> None:
    """An `OnOrphaned` for processes that wake no others: a sweep finds orphaned requests."""
