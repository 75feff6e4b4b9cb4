"""Queued requests that end when everybody who followed them has gone."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Mapping
from typing import Any

from streamer.contracts.stores import Key, RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import Error, StoreError, TransitionRefused
from streamer.core.records import TERMINAL, Status
from streamer.engine.delivery import Delivery
from streamer.engine.routes import Route
from streamer.engine.waiting import ends_within
from streamer.engine.worker import Worker

RETURN_GRACE = 30.0
"""Seconds that clients get to come back after a restart, which cut them all off: none of them left by itself."""
RETRY = 1.0
"""Seconds between two tries to cancel while the store refuses."""
MESSAGE = "Nobody is connected who follows this request"
_PAGE = 500


class Departures:
    """Cancels what nobody waits for any more: requests of actions that say so with `on_disconnect`.

    A request is left when the last connection that followed it has ended; whoever follows it again before its time
    is up keeps it alive.

    Args:
        queue: where the requests are.
        routes: by action; say after how long.
        delivery: knows who follows.
        worker: stops what runs, and tells.
        clock: time.
        logger: bound with what concerns the whole service.
    """

    def __init__(
        self,
        queue: RequestQueue,
        routes: Mapping[str, Route],
        delivery: Delivery,
        worker: Worker,
        *,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._queue = queue
        self._routes = routes
        self._delivery = delivery
        self._worker = worker
        self._clock = clock
        self._logger = logger
        self._left: dict[Key, float] = {}
        """When each request that was left is cancelled; the newest departure counts."""
        self._times: list[tuple[float, Key]] = []
        self._changed = asyncio.Event()

    def left(self, key: Key, after: float) -> None:
        """The last connection that followed the request has ended; it is cancelled in so many seconds."""
        at = self._clock.monotonic() + after
        self._left[key] = at
        heapq.heappush(self._times, (at, key))
        self._changed.set()

    async def recover(self) -> None:
        """Gives the owners of what an earlier process left behind their time to come back."""
        for route in self._routes.values():
            if route.cancel_after is None:
                continue
            for status in Status:
                if status not in TERMINAL:
                    await self._recover(route.name, status, max(route.cancel_after, RETURN_GRACE))

    async def run(self) -> None:
        """Cancels what is due until it is cancelled itself."""
        await self._until_answered(self.recover)
        while True:
            self._changed.clear()
            await self.step()
            delay = self._times[0][0] - self._clock.monotonic() if self._times else math.inf
            if delay > 0:
                await self._wait(delay)

    async def step(self) -> None:
        """Cancels what is due now."""
        now = self._clock.monotonic()
        while self._times and self._times[0][0] <= now:
            at, key = heapq.heappop(self._times)
            if self._left.get(key) != at:
                continue
            del self._left[key]
            if self._delivery.followed(key):
                continue
            try:
                await self._worker.cancel(key, MESSAGE)
            except (TransitionRefused, Error):
                # It has ended meanwhile, or is not known any more.
                continue
            except StoreError as problem:
                self._logger.warning("a request that was left was not cancelled", request_id=key[1], error=str(problem))
                self.left(key, RETRY)

    async def _recover(self, action: str, status: Status, after: float) -> None:
        cursor: str | None = None
        while True:
            page = await self._queue.list(action=action, status=status, limit=_PAGE, cursor=cursor)
            for record in page.requests:
                if not self._delivery.followed(record.key):
                    self.left(record.key, after)
            cursor = page.cursor
            if cursor is None:
                return

    async def _until_answered(self, ask: Any) -> None:
        while True:
            try:
                await ask()
            except StoreError as problem:
                self._logger.warning("requests left behind could not be read", error=str(problem))
                await self._clock.sleep(RETRY)
            else:
                return

    async def _wait(self, delay: float) -> None:
        """Returns after the delay, or when something was left."""
        if delay == math.inf:
            await self._changed.wait()
            return
        await ends_within(delay, self._changed.wait(), self._clock)
