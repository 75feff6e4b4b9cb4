"""Requests that end when everybody who followed them has gone."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from streamer.contracts.connections import Followers
from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.errors import Error, TransitionRefused
from streamer.engine.departures import MESSAGE
from streamer.engine.worker import Worker
from streamer_aws.dynamodb.calls import all_of

LIMIT: Final = 500
"""Of one sweep."""


class Departing:
    """Cancels what nobody follows any more, once its time is over.

    Args:
        followers: who follows, and what was left.
        worker: stops what runs here, and tells.
        clock: time.
        logger: for what goes wrong.
    """

    def __init__(self, followers: Followers, worker: Worker, *, clock: Clock, logger: Any) -> None:
        self._followers = followers
        self._worker = worker
        self._clock = clock
        self._logger = logger

    async def look(self, key: Key) -> None:
        """Cancels the request if it was left for so long, and nobody has come back.

        Raises:
            StoreError: that cannot be told right now.
        """
        if not await self._followers.deserted(key, self._clock.now()):
            return
        # It may have ended meanwhile, or not be known any more.
        with contextlib.suppress(TransitionRefused, Error):
            await self._worker.cancel(key, MESSAGE)

    async def sweep(self) -> int:
        """Looks at all whose time is over. Returns how many those were.

        Raises:
            StoreError: as `look`.
        """
        left = await self._followers.left(self._clock.now(), LIMIT)

        async def one(key: Key) -> None:
            await self.look(key)
            # Followed again, or ended: either way this departure needs no further look.
            await self._followers.settle(key)

        await all_of(map(one, left))
        return len(left)
