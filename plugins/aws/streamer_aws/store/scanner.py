"""Reads the lanes for a claim, no further than necessary.

A lane may have a hundred thousand records of one owner. Its places start with priority, action, tenant and owner, so a
line of which enough was read is skipped by a query that starts after it; so are an action and a tenant at their limit.
A claim makes at most `PAGES` queries per lane. If they do not reach the end, the next claim starts with the most urgent
records again, and continues where this one stopped once it reaches the same priority. So over several claims every line
of a priority has its turn, but not exactly in order.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from streamer.queue.fairness import Capacity, FairKey
from streamer_aws.dynamodb.calls import Calls
from streamer_aws.dynamodb.values import LAST
from streamer_aws.store.candidates import Entry, to_entry
from streamer_aws.store.items import READY, TIMED
from streamer_aws.store.table import LANES

PAGE: Final = 250
"""Entries of one query: about 100 KB, 13 read units."""
PAGES: Final = 4


class Scanner:
    """Reads the lanes of one shard.

    Args:
        calls: to the table.
        shard: its number.
    """

    def __init__(self, calls: Calls, shard: int) -> None:
        self._calls = calls
        self._shard = shard
        self._resume = {READY: "", TIMED: ""}

    async def ready(self, wanted: int, capacity: Capacity) -> list[Entry]:
        """PENDING records: as many of each line as could be claimed, skipping lines without capacity as far as
        possible.
        """
        entries: list[Entry] = []
        seen: Counter[FairKey] = Counter()
        after, resume = "", self._resume[READY]
        for _ in range(PAGES):
            items, more = await self._query(READY, after)
            entries += items
            seen.update(entry.line for entry in items)
            if not more:
                self._resume[READY] = ""
                break
            after = _behind(items[-1], seen[items[-1].line], wanted, capacity)
            if after < resume and _level(after) == _level(resume):
                after, resume = resume, ""
        else:
            self._resume[READY] = after
        return entries

    async def timed(self, now: float, capacity: Capacity) -> list[Entry]:
        """Records that wait for a time: those that are due, and what is due next of all that has capacity."""
        entries: list[Entry] = []
        after = ""
        for page in range(PAGES):
            items, more = await self._query(TIMED, after)
            entries += items
            if not more or any(entry.due_at > now and capacity.for_action(entry.action) for entry in items):
                self._resume[TIMED] = ""
                break
            after = items[-1].place
            if page == 0:
                after = max(after, self._resume[TIMED])
        else:
            self._resume[TIMED] = after
        return entries

    async def _query(self, lane: str, after: str) -> tuple[list[Entry], bool]:
        parameters: dict[str, Any] = {
            "TableName": self._calls.table,
            "IndexName": LANES,
            "KeyConditionExpression": "#lane = :lane AND #place > :after",
            "ExpressionAttributeNames": {"#lane": "lane", "#place": "place"},
            "ExpressionAttributeValues": {":lane": {"S": f"{lane}#{self._shard}"}, ":after": {"S": after or " "}},
            "Limit": PAGE,
        }
        answer = await self._calls.make("query", **parameters)
        items = [to_entry(item) for item in answer["Items"]]
        return items, "LastEvaluatedKey" in answer and bool(items)


def _level(place: str) -> str:
    """The part of a place in the READY lane that encodes its priority."""
    return place.partition("#")[0]


def _behind(last: Entry, seen: int, wanted: int, capacity: Capacity) -> str:
    """The place after which to continue, given the last entry of a page and how many of its line were read."""
    parts = last.place.split("#")
    if not capacity.for_action(last.action):
        return "#".join([*parts[:2], LAST])
    if not capacity.for_tenant(last.tenant):
        return "#".join([*parts[:3], LAST])
    if seen >= wanted:
        return "#".join([*parts[:4], LAST])
    return last.place
