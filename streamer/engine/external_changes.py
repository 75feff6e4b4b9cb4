"""Handles changes by another process to the requests of this one, in the same store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from streamer.contracts.stores import Key, RequestQueue
from streamer.core.errors import StoreError
from streamer.engine.delivery import Delivery
from streamer.engine.leases import LeaseKeeper
from streamer.engine.outcomes import terminal_message


class ExternalChanges:
    """Finds claims that were lost, and the outcomes of requests that were ended by others.

    Args:
        queue: of the requests.
        delivery: sends outcomes to subscribers.
        leases: of the running attempts.
        running: the running requests; their attempts send their outcomes.
        logger: for errors.
    """

    def __init__(
        self, queue: RequestQueue, delivery: Delivery, leases: LeaseKeeper, running: Collection[Key], logger: Any
    ) -> None:
        self._queue = queue
        self._delivery = delivery
        self._leases = leases
        self._running = running
        self._logger = logger
        self._looking: asyncio.Task[None] | None = None

    def found(self, keys: Sequence[Key] | None) -> None:
        """Another process has changed these requests, or any if None; a task checks them."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(keys))

    async def _look(self, changed: Sequence[Key] | None) -> None:
        await self._leases.renew()
        subscribed = self._delivery.subscribed_here()
        if changed is not None:
            subscribed.intersection_update(changed)
        for key in subscribed:
            if key in self._running:
                continue
            try:
                record = await self._queue.get(key)
            except StoreError as problem:
                self._logger.error("a request could not be read", request_id=key[1], error=str(problem))
                return
            if record is not None and record.terminal:
                await self._delivery.terminal(key, partial(terminal_message, record))
