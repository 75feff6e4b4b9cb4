"""What the schedule does once a minute: finds what lost wake-ups, dead sandboxes and broken deliveries left behind."""

from __future__ import annotations

from typing import Any, Final

from streamer.aws.departing import Departing
from streamer.aws.processing import Processor, WakeUp, fits
from streamer.aws.waking import Waker
from streamer.contracts.stores import WokenQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError
from streamer.engine.outcomes import terminal_message
from streamer.engine.shared_delivery import SharedDelivery
from streamer.engine.worker import Worker

GRACE: Final = 60.0
"""Seconds after which nobody is on the way any more to a request, while few wake-ups wait."""
LONG_GRACE: Final = 15 * 60.0
"""The same while many wait: theirs is among them in all likelihood, and another would only make them more."""
MANY: Final = 100
TELLING: Final = 15.0
"""Seconds in which whoever ended a request has told its followers."""
LOOK_BACK: Final = 10 * 60.0
"""Seconds for which it is tried to tell what was not told; then it waits for its owner to resume."""


class Sweep:
    """One look at everything.

    Args:
        queue: the table.
        worker: ends what cannot run any more.
        processor: runs what is due, where no queue of wake-ups is there.
        delivery: tells.
        waker: wakes processors.
        departing: ends what was left.
        lease: seconds of a claim.
        clock: time.
        logger: for what goes wrong.
    """

    def __init__(
        self,
        queue: WokenQueue,
        worker: Worker,
        processor: Processor,
        delivery: SharedDelivery,
        waker: Waker,
        departing: Departing,
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
        self._departing = departing
        self._lease = lease
        self._clock = clock
        self._logger = logger

    async def run(self, remaining: float) -> dict[str, int]:
        """What was found, by kind. What fails is looked at again by the next sweep, and does not keep from the rest.

        Args:
            remaining: seconds until the function is killed.
        """
        found: dict[str, int] = {}
        for name, look in (
            ("ended", self._ended),
            ("told", self._untold),
            ("left", self._departing.sweep),
            ("woken", lambda: self._due(remaining)),
        ):
            try:
                found[name] = await look()
            except StoreError as problem:
                self._logger.error("a sweep is not whole", part=name, error=str(problem))
                found[name] = 0
        if any(found.values()):
            self._logger.info("swept", **found)
        return found

    async def _ended(self) -> int:
        """What waited too long, or whose worker died in its last attempt."""
        claims = await self._queue.claim(self._worker.name, 0, self._lease)
        await self._worker.begin(claims)
        return len(claims.abandoned)

    async def _untold(self) -> int:
        now = self._clock.now()
        told_before = now - TELLING
        keys = await self._queue.untold(now - LOOK_BACK, told_before)
        for key in keys:
            record = await self._queue.get(key)
            if record is not None and record.terminal:
                await self._delivery.tell(key, terminal_message(record), told_before)
        return len(keys)

    async def _due(self, remaining: float) -> int:
        now = self._clock.now()
        long = [name for name, route in self._worker.routes.items() if not fits(route)]
        if self._waker.url:
            grace = GRACE if await self._waker.backlog() < MANY else LONG_GRACE
            return await self._waker.wake_all(await self._queue.due(now - grace, without=long))
        waiting = await self._queue.due(now - GRACE, without=long)
        await self._processor.run([WakeUp("", key, action) for key, action in waiting], remaining)
        return len(waiting)
