"""Records which outcomes their owners have received, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from streamer.contracts.stores import Key, RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError

INTERVAL = 1.0
"""Seconds between two writes."""
MOST = 10_000
"""Maximum deliveries that are kept for the next write while the store refuses; owners get the outcomes of others
again.
"""


class DeliveryTracker:
    """Outcomes that clients have confirmed.

    Writing an outcome to a socket proves nothing: it may be in a buffer, here or on its way, when the connection
    breaks. So an outcome counts as delivered once the client has answered a ping that was sent after it. Until then,
    the owner gets it again by resuming.
    """

    def __init__(self, queue: RequestQueue, *, clock: Clock, logger: Any) -> None:
        self._queue = queue
        self._clock = clock
        self._logger = logger
        self._confirmed: dict[Key, None] = {}
        self._being_written: dict[Key, None] = {}
        self._writing = asyncio.Lock()

    def confirmed(self, keys: Iterable[Key]) -> None:
        """The owners have received these outcomes."""
        confirmed = self._confirmed
        for key in keys:
            confirmed[key] = None

    def runs_again(self, key: Key) -> None:
        """Earlier confirmations are for a previous outcome: an operator has made the request run again."""
        self._confirmed.pop(key, None)
        self._being_written.pop(key, None)

    async def run(self) -> None:
        """Writes until it is cancelled."""
        while True:
            await self._clock.sleep(INTERVAL)
            await self.write()

    async def write(self) -> None:
        """Returns when earlier confirmations are stored, or the store has refused them for now."""
        async with self._writing:
            confirmed, self._confirmed = self._confirmed, {}
            self._being_written = confirmed
            if not confirmed:
                return
            try:
                await self._queue.mark_delivered(list(confirmed))
            except StoreError as problem:
                self._logger.warning("deliveries were not recorded", count=len(confirmed), error=str(problem))
                self._keep(confirmed)
            except asyncio.CancelledError:
                # The service stops, and writes once more: writing twice does no harm.
                self._keep(confirmed)
                raise

    def _keep(self, confirmed: Iterable[Key]) -> None:
        self._confirmed = dict.fromkeys([*self._confirmed, *confirmed][:MOST])
