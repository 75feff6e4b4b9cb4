"""Requests of actions with `on_disconnect` that have lost their last subscriber are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from streamer.contracts.stores import Key
from streamer.contracts.subscriptions import Orphans
from streamer.core.errors import Error, StoreError, TransitionRefused
from streamer.engine.worker import Worker

MESSAGE: Final = "Nobody is connected who follows this request"
LIMIT: Final = 500
"""Requests of one sweep."""


class OrphanCanceller:
    """Cancels orphaned requests whose time is over.

    Args:
        orphans: knows which those are.
        worker: stops what runs, and sends the outcomes.
        logger: for what goes wrong.
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
        # It may have ended meanwhile, or not be known any more.
        with contextlib.suppress(TransitionRefused, Error):
            await self._worker.cancel(key, MESSAGE)

    async def sweep(self) -> int:
        """Looks at all requests whose time is over. Returns how many those were.

        Raises:
            StoreError: they could not be read.
        """
        keys = await self._orphans.orphaned(LIMIT)
        await asyncio.gather(*map(self._settle, keys))
        return len(keys)

    async def _settle(self, key: Key) -> None:
        try:
            await self.look(key)
            # It has a subscriber again, or has ended: either way it needs no further look.
            await self._orphans.clear(key)
        except StoreError as problem:
            self._logger.warning("an orphaned request was not cancelled", request_id=key[1], error=str(problem))
