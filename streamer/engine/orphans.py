"""Cancels requests of actions with `on_disconnect` that have lost their last subscriber."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from streamer.contracts.stores import Key
from streamer.contracts.subscriptions import Orphans
from streamer.core.errors import Error, StoreError, TransitionRefused
from streamer.engine.worker import Worker

MESSAGE: Final = "No connection is subscribed to this request"
LIMIT: Final = 500
"""Maximum requests of one sweep."""


class OrphanCanceller:
    """Cancels orphaned requests whose grace period is over.

    Args:
        orphans: finds them.
        worker: stops running requests, and sends outcomes.
        logger: for errors.
    """

    def __init__(self, orphans: Orphans, worker: Worker, *, logger: Any) -> None:
        self._orphans = orphans
        self._worker = worker
        self._logger = logger

    async def look(self, key: Key) -> None:
        """Cancels the request if it is orphaned.

        Raises:
            StoreError: it could not be read or cancelled.
        """
        if not await self._orphans.is_orphaned(key):
            return
        # It may have ended meanwhile, or no longer exist.
        with contextlib.suppress(TransitionRefused, Error):
            await self._worker.cancel(key, MESSAGE)

    async def sweep(self) -> int:
        """Checks all requests whose grace period is over. Returns how many there were.

        Raises:
            StoreError: they could not be read.
        """
        keys = await self._orphans.orphaned(LIMIT)
        await asyncio.gather(*map(self._settle, keys))
        return len(keys)

    async def _settle(self, key: Key) -> None:
        try:
            await self.look(key)
            # It has a subscriber again, or has ended: in both cases nothing more must be done.
            await self._orphans.clear(key)
        except StoreError as problem:
            self._logger.warning("an orphaned request was not cancelled", request_id=key[1], error=str(problem))
