"""What a processor does with a batch of wake-ups, from the queue or from the table's stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from streamer.contracts.stores import Key, WokenQueue
from streamer.core.clock import Clock
from streamer.core.errors import StoreError
from streamer.engine.orphans import OrphanCanceller
from streamer.engine.routes import Route
from streamer.engine.timeouts import STOP_GRACE, wait_up_to
from streamer.engine.worker import Worker
from streamer_aws.functions.waking import Waker

LONGEST: Final = 870.0
"""Seconds that an attempt in a function may take at most: Lambda ends the function after 900, and there must be time to
begin, and to write down how it ended.
"""
MARGIN: Final = STOP_GRACE + 5.0
"""Seconds before the function's end at which its handlers are stopped, so that it can write down how that ended."""


class WakeUp(NamedTuple):
    """One record of a batch."""

    identifier: str
    """What the mapping calls it, when it is to come again."""
    key: Key
    action: str
    """Empty where nobody is to run it, but to look whether it was left."""


class Processor:
    """Runs what it is woken for.

    The table decides: whoever claims a request runs it, and a wake-up that comes late, twice or for nothing does
    nothing. So a batch's record fails only when the table could not be asked; then it comes again.

    A request whose sandbox died may be what killed it. It runs when all others of the batch have ended, and without any
    other of its kind.

    Args:
        queue: the table.
        worker: runs the handlers; nothing else may claim for it.
        waker: for the next attempts.
        orphans: looks after what was left.
        lease: seconds of a claim.
        concurrency: how many run at one time.
        clock: time.
        logger: for what goes wrong.
    """

    def __init__(
        self,
        queue: WokenQueue,
        worker: Worker,
        waker: Waker,
        orphans: OrphanCanceller,
        *,
        lease: float,
        concurrency: int,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._concurrency = concurrency
        self._queue = queue
        self._worker = worker
        self._waker = waker
        self._orphans = orphans
        self._lease = lease
        self._clock = clock
        self._logger = logger

    async def process(self, event: Mapping[str, Any], remaining: float) -> dict[str, Any]:
        """Returns when everything in the batch has ended, or been given back because the time is over.

        Args:
            event: of the mapping.
            remaining: seconds until the function is killed.
        """
        wake_ups = [read for record in event.get("Records", []) if (read := self._read(record)) is not None]
        failed = await self.run(wake_ups, remaining)
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}

    async def run(self, wake_ups: list[WakeUp], remaining: float) -> list[str]:
        """The same for wake-ups that were read. Returns the identifiers of those that must come again."""
        worker = self._worker
        limit = max(remaining - MARGIN, remaining / 2)
        failed = {wake_up.identifier for wake_up in wake_ups}
        ends_at = self._clock.monotonic() + limit
        async with worker.attending():
            work = asyncio.create_task(self._all(wake_ups, ends_at, failed))
            try:
                # Each handler has its own bound within this time; who does not keep to it is given back.
                if not await wait_up_to(limit + 1.0, asyncio.wait({work}), self._clock):
                    await worker.drain(0.0)
                    await wait_up_to(1.0, asyncio.wait({work}), self._clock)
            finally:
                work.cancel()
        return [wake_up.identifier for wake_up in wake_ups if wake_up.identifier in failed]

    async def _all(self, wake_ups: list[WakeUp], ends_at: float, failed: set[str]) -> None:
        room = asyncio.Semaphore(self._concurrency)
        lost: list[WakeUp] = []

        async def one(wake_up: WakeUp) -> None:
            async with room:
                if await self._one(wake_up, ends_at, failed, lost=len(wake_ups) == 1):
                    lost.append(wake_up)

        await asyncio.gather(*map(one, wake_ups))
        for wake_up in lost:
            # One for which there is no time any more is found by the sweep.
            if self._clock.monotonic() < ends_at:
                await self._one(wake_up, ends_at, failed, lost=True)

    async def _one(self, wake_up: WakeUp, ends_at: float, failed: set[str], *, lost: bool) -> bool:
        """Takes its identifier away as soon as the table has the say. Returns whether it is to run alone, later."""
        try:
            if wake_up.action:
                return await self._claim_one(wake_up, ends_at - self._clock.monotonic(), failed, lost=lost)
            await self._orphans.look(wake_up.key)
            failed.discard(wake_up.identifier)
        except StoreError as problem:
            self._logger.error("a wake-up must come again", request_id=wake_up.key[1], error=str(problem))
        return False

    async def _claim_one(self, wake_up: WakeUp, limit: float, failed: set[str], *, lost: bool) -> bool:
        worker = self._worker
        route = worker.routes.get(wake_up.action)
        if route is not None and not fits(route, limit):
            self._logger.error(
                "a request is left to a worker: its action may take longer than this function",
                request_id=wake_up.key[1], action=wake_up.action, seconds=round(limit, 1),
            )  # fmt: skip
            failed.discard(wake_up.identifier)
            return False
        claims = await self._queue.claim_one(wake_up.key, worker.name, self._lease, lost=lost)
        failed.discard(wake_up.identifier)
        await worker.begin(claims, limit)
        retry_at = await worker.ended(wake_up.key)
        if retry_at is not None and (route is None or fits(route)):
            await self._waker.wake(wake_up.key, wake_up.action, retry_at - self._clock.now())
        return claims.next_due is not None

    def _read(self, record: Mapping[str, Any]) -> WakeUp | None:
        """None for what says nothing that can be done, now or later: it must not come again, and hold others up."""
        try:
            if "dynamodb" in record:
                change = record["dynamodb"]
                keys = change["Keys"]
                action = change.get("NewImage", {}).get("action", {}).get("S", "")
                if record["eventName"] != "INSERT" or not action:
                    return None
                return WakeUp(change["SequenceNumber"], (keys["owner"]["S"], keys["id"]["S"]), action)
            body = orjson.loads(record["body"])
            action = "" if body.get("left") else body["action"]
            return WakeUp(record["messageId"], (body["owner"], body["id"]), action)
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            self._logger.error("a wake-up cannot be read, and is dropped", error=repr(problem))
            return None


def fits(route: Route, seconds: float = LONGEST) -> bool:
    """Whether a function that lives so long may take requests of the action; the others are a worker's.

    An action without a timeout is bounded by what the function has, once its estimate is within that.
    """
    return (route.estimate if route.timeout is None else route.timeout) <= seconds
