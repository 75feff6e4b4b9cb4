"""The number of waiting requests, counted by one process for all.

The count is an item of the table. A process that finds it too old may count again, one process at a time; all others
use the stored count, and add what they have written since. A failed count refuses nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from streamer.core.clock import Clock
from streamer.core.errors import StoreUnavailable
from streamer.core.records import Status
from streamer_aws.dynamodb.calls import Calls, Refused, all_of
from streamer_aws.dynamodb.values import Item, number, text
from streamer_aws.store.items import READY, TIMED, Layout
from streamer_aws.store.table import LANES

READ_INTERVAL: Final = 10.0
"""Seconds between two reads of the count by a process."""
FULL_INTERVAL: Final = 5.0
"""The same while the queue is full, and the age after which it is counted again then: it may have capacity by now."""
AGE: Final = 10.0
"""Seconds after which the count is too old, without a sweep that counts once a minute."""
SWEPT_AGE: Final = 150.0
"""The same with a sweep: two sweeps were missed."""
LEASE: Final = 30.0
"""Seconds in which a counting process has finished, or died."""
_KEY: Final[Item] = {"owner": text("streamer"), "id": text("queue-count")}
_QUEUED: Final = {":pending": text(Status.PENDING.value), ":retrying": text(Status.RETRYING.value)}


class QueueCount:
    """An estimate of how many requests are PENDING or RETRYING.

    Args:
        calls: to the table.
        layout: of the indexes.
        clock: time.
        enough: a count stops at this number.
        swept: a sweep counts once a minute.
    """

    def __init__(self, calls: Calls, layout: Layout, clock: Clock, enough: int, *, swept: bool) -> None:
        self._calls = calls
        self._layout = layout
        self._clock = clock
        self._enough = enough
        self._age = SWEPT_AGE if swept else AGE
        self._known = 0
        self._read_at: float | None = None
        self._changes: deque[list[float]] = deque()
        """Changes by this process since then: when, and by how much."""
        self._reading = asyncio.Lock()

    @property
    def queued(self) -> int:
        """The current estimate."""
        return self._known + int(sum(change for _, change in self._changes))

    def more(self, count: int) -> None:
        """This process has added this many waiting requests, or removed them."""
        now = self._clock.monotonic()
        if self._changes and now - self._changes[-1][0] < 1.0:
            self._changes[-1][1] += count
        else:
            self._changes.append([now, count])

    async def refresh(self) -> None:
        """Reads the count if necessary, and counts if no other process does. It never fails."""
        first = self._read_at is None
        if not first and (not self._due() or self._reading.locked()):
            return
        async with self._reading:
            if not self._due():
                return
            try:
                await self._refresh()
            except StoreUnavailable:
                if self.queued >= self._enough:
                    # It is unknown whether the queue is still full; the requests' own writes show whether the table
                    # accepts more.
                    self._known = 0
                    self._changes.clear()
            self._read_at = self._clock.monotonic()

    async def count(self) -> int:
        """Counts, and stores the count for all.

        Raises:
            StoreUnavailable: the table does not respond.
        """
        # The count may or may not include requests that are written meanwhile: counting them twice is better than not
        # at all.
        began, wall = self._clock.monotonic(), self._clock.now()
        counted = await self._sum_up()
        await self._calls.make(
            "update_item",
            TableName=self._calls.table,
            Key=_KEY,
            UpdateExpression="SET #queued = :queued, #counted_at = :now REMOVE #until",
            ExpressionAttributeNames={"#queued": "queued", "#counted_at": "counted_at", "#until": "counting_until"},
            ExpressionAttributeValues={":queued": number(counted), ":now": number(wall)},
        )
        self._learn(counted, began)
        return counted

    def _due(self) -> bool:
        if self._read_at is None:
            return True
        interval = FULL_INTERVAL if self.queued >= self._enough else READ_INTERVAL
        return self._clock.monotonic() - self._read_at >= interval

    async def _refresh(self) -> None:
        answer = await self._calls.make("get_item", TableName=self._calls.table, Key=_KEY)
        item: Item | None = answer.get("Item")
        now = self._clock.now()
        if item is not None and "queued" in item:
            known, age = int(item["queued"]["N"]), max(now - float(item["counted_at"]["N"]), 0.0)
            self._learn(known, self._clock.monotonic() - age)
            if age < (FULL_INTERVAL if self.queued >= self._enough else self._age):
                return
        if await self._may_count(now):
            await self.count()

    async def _may_count(self, now: float) -> bool:
        try:
            await self._calls.make(
                "update_item",
                TableName=self._calls.table,
                Key=_KEY,
                UpdateExpression="SET #until = :until",
                ConditionExpression="attribute_not_exists(#until) OR #until <= :now",
                ExpressionAttributeNames={"#until": "counting_until"},
                ExpressionAttributeValues={":until": number(now + LEASE), ":now": number(now)},
            )
        except Refused:
            return False
        return True

    def _learn(self, known: int, at: float) -> None:
        self._known = known
        while self._changes and self._changes[0][0] < at:
            self._changes.popleft()

    async def _sum_up(self) -> int:
        lanes = [f"{lane}#{shard}" for lane in (READY, TIMED) for shard in range(self._layout.shards)]
        return sum(await all_of(map(self._sum, lanes)))

    async def _sum(self, lane: str) -> int:
        """How many requests of a lane are waiting; stops at the limit."""
        found = 0
        start: dict[str, Any] = {}
        while True:
            page = await self._calls.make(
                "query",
                TableName=self._calls.table,
                IndexName=LANES,
                Select="COUNT",
                KeyConditionExpression="#lane = :lane",
                FilterExpression="#status IN (:pending, :retrying)",
                ExpressionAttributeNames={"#lane": "lane", "#status": "status"},
                ExpressionAttributeValues={**_QUEUED, ":lane": text(lane)},
                **start,
            )
            found += int(page["Count"])
            if "LastEvaluatedKey" not in page or found >= self._enough:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
