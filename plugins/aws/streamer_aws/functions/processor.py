"""Processes a batch of wake-ups, from the queue or from the table's stream."""

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
from streamer_aws.functions.waker import Waker

LONGEST: Final = 870.0
"""Maximum seconds of an attempt in a function: Lambda ends the function after 900, and starting the attempt and storing
its outcome take time.
"""
MARGIN: Final = STOP_GRACE + 5.0
"""Seconds before the function's end at which its handlers are stopped, so that this can be stored."""


class WakeUp(NamedTuple):
    """One record of a batch."""

    identifier: str
    """Its identifier in the batch, for reporting a failure."""
    key: Key
    action: str
    """Empty when the request must not be run, but checked for being orphaned."""


class Processor:
    """Runs the requests of wake-ups.

    The table decides: the process that claims a request runs it, and a late, duplicate or unnecessary wake-up does
    nothing. So a record of a batch fails only when the table could not be reached; then it is delivered again.

    A request whose sandbox died may have caused that. It runs when all others of the batch have ended, one at a time.

    Args:
        queue: the table.
        worker: runs the handlers; nothing else may claim for it.
        waker: for the next attempts.
        orphans: cancels orphaned requests.
        lease: seconds of a claim.
        concurrency: the maximum number of concurrent requests.
        clock: time.
        logger: for errors.
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
        """Returns when every request of the batch has ended, or was returned because the time is over.

        Args:
            event: of the mapping.
            remaining: seconds until the function is killed.
        """
        wake_ups = [read for record in event.get("Records", []) if (read := self._read(record)) is not None]
        failed = await self.run(wake_ups, remaining)
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}

    async def run(self, wake_ups: list[WakeUp], remaining: float) -> list[str]:
        """The same for parsed wake-ups. Returns the identifiers of those that must be delivered again."""
        worker = self._worker
        limit = max(remaining - MARGIN, remaining / 2)
        failed = {wake_up.identifier for wake_up in wake_ups}
        ends_at = self._clock.monotonic() + limit
        async with worker.attending():
            work = asyncio.create_task(self._all(wake_ups, ends_at, failed))
            try:
                # Each handler has its own limit within this time; a request that exceeds it is returned.
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
            # The sweep finds requests that there is no time left for.
            if self._clock.monotonic() < ends_at:
                await self._one(wake_up, ends_at, failed, lost=True)

    async def _one(self, wake_up: WakeUp, ends_at: float, failed: set[str], *, lost: bool) -> bool:
        """Removes its identifier once the table has decided. Returns whether the request must run alone, later."""
        try:
            if wake_up.action:
                return await self._claim_one(wake_up, ends_at - self._clock.monotonic(), failed, lost=lost)
            await self._orphans.look(wake_up.key)
            failed.discard(wake_up.identifier)
        except StoreError as problem:
            self._logger.error("a wake-up will be delivered again", request_id=wake_up.key[1], error=str(problem))
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
        """None for an invalid record: it must neither be delivered again nor block others."""
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
            self._logger.error("an invalid wake-up was dropped", error=repr(problem))
            return None


def fits(route: Route, seconds: float = LONGEST) -> bool:
    """Whether a function with this time limit may claim requests of the action; a worker runs the others.

    An action without a timeout is limited by the function's, if its estimate is below that.
    """
    return (route.estimate if route.timeout is None else route.timeout) <= seconds
