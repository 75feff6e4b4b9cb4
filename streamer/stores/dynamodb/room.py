"""How many requests wait, well enough to refuse one more.

An exact count would make every write two, and all of them meet at one item. So a process counts the index now and
then, and its own writes in between. One process alone is exact but for what it writes during a count; several may let
in more than `max_queued` by what the others stored since each counted last, `COUNT_INTERVAL` seconds ago at most.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.records import QUEUED, Status
from streamer.dynamodb.calls import Calls, all_of
from streamer.stores.common import owner_full, queue_full
from streamer.stores.dynamodb.items import READY, TIMED, Layout
from streamer.stores.dynamodb.table import LANES, OPEN_BY_OWNER

COUNT_INTERVAL: Final = 10.0
FULL_INTERVAL: Final = 1.0
_QUEUED: Final[dict[str, Any]] = {
    "FilterExpression": "#status IN (:pending, :retrying)",
    "ExpressionAttributeValues": {
        ":pending": {"S": Status.PENDING.value},
        ":retrying": {"S": Status.RETRYING.value},
    },
}


class QueueRoom:
    """What still fits.

    Args:
        calls: to the table.
        layout: of the indexes.
        clock: time.
        max_queued: how many may wait.
        max_queued_per_owner: how many of one owner; None: as many as there is room for.
    """

    def __init__(
        self, calls: Calls, layout: Layout, clock: Clock, max_queued: int, max_queued_per_owner: int | None
    ) -> None:
        self._calls = calls
        self._layout = layout
        self._clock = clock
        self._max_queued = max_queued
        self._max_queued_per_owner = max_queued_per_owner
        self._queued = 0
        self._changed = 0
        """By this process, since it began."""
        self._counted_at: float | None = None
        self._counting = asyncio.Lock()
        self._entering: Counter[Key] = Counter()
        """What is being stored just now: a count may know it, or not yet."""

    async def enter(self, key: Key) -> None:
        """One more is about to be stored; say `left` if it is not, `entered` when it is.

        Raises:
            Error: OVERLOADED.
        """
        if self._counted_at is None:
            async with self._counting:
                if self._counted_at is None:
                    await self._count()
        elif self._stale(self._counted_at) and not self._counting.locked():
            async with self._counting:
                await self._count()
        if self._queued >= self._max_queued:
            raise queue_full(self._max_queued)
        self._more(1)
        self._entering[key] += 1
        # Nobody can have more than all have: an owner is counted only once that many wait at all.
        if self._max_queued_per_owner is None or self._queued <= self._max_queued_per_owner:
            return
        try:
            full = await self._full(key[0], self._max_queued_per_owner)
        except BaseException:
            self.left(key)
            raise
        if full:
            self.left(key)
            raise owner_full(self._max_queued_per_owner)

    def left(self, key: Key) -> None:
        """What was to enter did not."""
        self._more(-1)
        self.entered(key)

    def entered(self, key: Key) -> None:
        """What was to enter is stored."""
        self._entering[key] -= 1
        if not self._entering[key]:
            del self._entering[key]

    def less(self, count: int) -> None:
        """So many wait no longer."""
        self._more(-count)

    def changed(self, before: Status, after: Status) -> None:
        """A record went from one state to another."""
        self._more((after in QUEUED) - (before in QUEUED))

    def _more(self, count: int) -> None:
        self._queued += count
        self._changed += count

    def _stale(self, counted_at: float) -> bool:
        # A queue that was full may have room by now; nobody who could be let in is refused for longer than that.
        interval = FULL_INTERVAL if self._queued >= self._max_queued else COUNT_INTERVAL
        return self._clock.monotonic() - counted_at >= interval

    async def _count(self) -> None:
        # What is written while the count goes on may be in it or not: it is counted twice rather than not at all.
        entering = self._entering.total()
        changed = self._changed
        counted = await self._sum_up()
        self._queued = counted + entering + self._changed - changed
        self._counted_at = self._clock.monotonic()

    async def _sum_up(self) -> int:
        ready = [self._sum(_of_lane(f"{READY}#{shard}")) for shard in range(self._layout.shards)]
        timed = [self._sum(_of_lane(f"{TIMED}#{shard}")) for shard in range(self._layout.shards)]
        return sum(await all_of(ready + timed))

    async def _full(self, owner: str, limit: int) -> bool:
        """Whether the owner has more than that waiting, together with what is entering.

        What the owner has open or was not told of is more than what waits; only where that is too much, it is read.
        """
        keys = await self._calls.pages(
            IndexName=OPEN_BY_OWNER,
            ConsistentRead=True,
            KeyConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": owner}},
        )
        entering = {request_id for of, request_id in self._entering if of == owner}
        if len(entering | {key["id"]["S"] for key in keys}) <= limit:
            return False
        items = await self._calls.get_many(
            ({"owner": key["owner"], "id": key["id"]} for key in keys), attributes=("id", "status")
        )
        waiting = {item["id"]["S"] for item in items if Status(item["status"]["S"]) in QUEUED}
        return len(entering | waiting) > limit

    async def _sum(self, parameters: dict[str, Any]) -> int:
        """How many a query finds; once that is too many already, it asks no further."""
        found = 0
        start: dict[str, Any] = {}
        while True:
            page = await self._calls.make("query", TableName=self._calls.table, Select="COUNT", **parameters, **start)
            found += int(page["Count"])
            if "LastEvaluatedKey" not in page or found >= self._max_queued:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _of_lane(lane: str) -> dict[str, Any]:
    return {
        "IndexName": LANES,
        "KeyConditionExpression": "#lane = :lane",
        **_QUEUED,
        "ExpressionAttributeNames": {"#lane": "lane", "#status": "status"},
        "ExpressionAttributeValues": {**_QUEUED["ExpressionAttributeValues"], ":lane": {"S": lane}},
    }
