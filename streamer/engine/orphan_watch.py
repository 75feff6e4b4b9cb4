"""Cancels orphaned requests in time, in the process that holds all connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError
from streamer.core.records import TERMINAL, Status
from streamer.engine.orphans import OrphanCanceller
from streamer.engine.routes import Route
from streamer.engine.subscriptions import RETRY, LocalSubscriptions

RETURN_GRACE: Final = 30.0
"""Seconds that clients get to reconnect after a restart, which ended all their connections."""
_PAGE: Final = 500


class OrphanWatch:
    """Calls the canceller when a request's grace period is over.

    Args:
        queue: of the requests.
        routes: by action; have the grace period.
        subscriptions: of this process's connections.
        canceller: cancels.
        clock: the service's.
        logger: for errors.
    """

    def __init__(
        self,
        queue: RequestQueue,
        routes: Mapping[str, Route],
        subscriptions: LocalSubscriptions,
        canceller: OrphanCanceller,
        *,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._queue = queue
        self._routes = routes
        self._subscriptions = subscriptions
        self._canceller = canceller
        self._clock = clock
        self._logger = logger

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while not await self._recovered():
            await self._clock.sleep(RETRY)
        while True:
            await self._subscriptions.orphan_due()
            await self._canceller.sweep()

    async def recover(self) -> None:
        """Gives the owners of an earlier process's requests their grace period."""
        for route in self._routes.values():
            if route.cancel_after is None:
                continue
            for status in Status:
                if status not in TERMINAL:
                    await self._recover(route.name, status, max(route.cancel_after, RETURN_GRACE))

    async def _recover(self, action: str, status: Status, after: float) -> None:
        cursor: str | None = None
        while True:
            page = await self._queue.list(action=action, status=status, limit=_PAGE, cursor=cursor)
            for record in page.requests:
                if record.key not in self._subscriptions.by_key:
                    self._subscriptions.orphan(record.key, after)
            cursor = page.cursor
            if cursor is None:
                return

    async def _recovered(self) -> bool:
        try:
            await self.recover()
        except StoreError as problem:
            self._logger.warning("requests of an earlier process could not be read", error=str(problem))
            return False
        return True
