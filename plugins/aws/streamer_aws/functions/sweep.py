"""The scheduled function, once a minute: finds requests whose wake-up was lost, whose sandbox died, or whose outcome
was not delivered.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from streamer.contracts.stores import Key, Waiting, WokenQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError
from streamer.core.records import RequestRecord
from streamer.engine.delivery import Delivery
from streamer.engine.orphans import OrphanCanceller
from streamer.engine.outcomes import terminal_message
from streamer.engine.timeouts import wait_up_to
from streamer.engine.worker import Worker
from streamer_aws.dynamodb.calls import all_of
from streamer_aws.functions.processor import Processor, WakeUp, fits
from streamer_aws.functions.waker import Waker

GRACE: Final = 60.0
"""Seconds after which a request without a worker has lost its wake-up, while few wake-ups wait."""
LONG_GRACE: Final = 15 * 60.0
"""The same while many wait: then the wake-up is probably among them, and another would only add to them."""
MANY: Final = 100
DELIVERING: Final = 15.0
"""Seconds in which the process that ended a request has sent its outcome."""
LOOK_BACK: Final = 10 * 60.0
"""Seconds for which sending an outcome is retried; then it waits for its owner to resume."""
SENDING: Final = 40.0
"""Maximum seconds of one sweep in which messages are sent. The next sweep sends the rest."""
MARGIN: Final = 5.0
"""Seconds before the function's end at which nothing is sent any longer."""


class Sweep:
    """One sweep.

    Processors are woken for all due requests before any message is sent: a gateway that accepts no messages must not
    delay other requests.

    Args:
        queue: the table.
        worker: ends requests that cannot run any longer.
        processor: runs due requests, if there is no queue of wake-ups.
        delivery: sends outcomes.
        waker: wakes processors.
        orphans: cancels orphaned requests.
        lease: seconds of a claim.
        clock: time.
        logger: for errors.
    """

    def __init__(
        self,
        queue: WokenQueue,
        worker: Worker,
        processor: Processor,
        delivery: Delivery,
        waker: Waker,
        orphans: OrphanCanceller,
        *,
        lease: float,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._queue = queue
        self._worker = worker
        self._processor = processor
        self._delivery = delivery
        self._waker = waker
        self._orphans = orphans
        self._lease = lease
        self._clock = clock
        self._logger = logger

    async def run(self, remaining: float) -> dict[str, int]:
        """What was found, by kind. Failed parts are repeated by the next sweep, and do not affect the others.

        Args:
            remaining: seconds until the function is killed.
        """
        ends_at = self._clock.monotonic() + remaining
        found = dict.fromkeys(("ended", "delivered", "orphaned", "woken"), 0)
        abandoned: list[RequestRecord] = []

        async def look(name: str, what: Callable[[], Awaitable[int]]) -> None:
            try:
                found[name] = await what()
            except StoreError as problem:
                self._logger.error("a sweep is incomplete", part=name, error=str(problem))

        await look("ended", lambda: self._end(abandoned))
        if self._waker.url:
            await look("woken", self._wake)
        try:
            await self._queue.count_queued()
        except StoreError as problem:
            self._logger.error("a sweep is incomplete", part="counted", error=str(problem))
        sending = asyncio.gather(
            all_of(self._delivery.terminal(one.key, partial(terminal_message, one)) for one in abandoned),
            look("delivered", self._deliver_outcomes),
            look("orphaned", self._orphans.sweep),
        )
        seconds = max(min(remaining - MARGIN, SENDING), 0.0)
        if not await wait_up_to(seconds, asyncio.wait({sending}), self._clock):
            sending.cancel()
            self._logger.warning("a sweep has not sent everything; the next one continues", seconds=seconds)
        await asyncio.gather(sending, return_exceptions=True)
        if not self._waker.url:
            # Last, because it takes as long as the handlers.
            await look("woken", lambda: self._process(ends_at - self._clock.monotonic()))
        if any(found.values()):
            self._logger.info("swept", **found)
        return found

    async def _end(self, abandoned: list[RequestRecord]) -> int:
        """Requests that waited too long, or whose worker died in their last attempt."""
        claims = await self._queue.claim(self._worker.name, 0, self._lease)
        for record in claims.abandoned:
            self._worker.log_abandoned(record)
        abandoned += claims.abandoned
        return len(claims.abandoned)

    async def _deliver_outcomes(self) -> int:
        now = self._clock.now()
        claimed_before = now - DELIVERING
        keys = await self._queue.ended_undelivered(now - LOOK_BACK, claimed_before)
        # In a different order each time: connections that accept nothing must not block the others.
        keys = random.sample(keys, len(keys))

        async def one(key: Key) -> None:
            record = await self._queue.get(key)
            if record is not None and record.terminal:
                await self._delivery.terminal(key, lambda: terminal_message(record), claimed_before)

        await all_of(one(key) for key in keys)
        return len(keys)

    async def _wake(self) -> int:
        grace = GRACE if await self._waker.backlog() < MANY else LONG_GRACE
        return await self._waker.wake_all(await self._due(grace))

    async def _process(self, remaining: float) -> int:
        waiting = await self._due(GRACE)
        await self._processor.run([WakeUp("", key, action) for key, action in waiting], remaining)
        return len(waiting)

    async def _due(self, grace: float) -> list[Waiting]:
        long = [name for name, route in self._worker.routes.items() if not fits(route)]
        return await self._queue.due(self._clock.now() - grace, without=long)
