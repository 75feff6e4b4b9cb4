"""Finds requests whose wake-up was lost, whose worker died, or whose outcome was not delivered."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from streamer.contracts.stores import Key, Waiting
from streamer.core.records import Status
from streamer_aws.dynamodb.calls import Calls, all_of
from streamer_aws.dynamodb.values import LAST, Item, before, micros, text
from streamer_aws.store.items import READY, TIMED, UNTOLD, Layout
from streamer_aws.store.table import EXPIRIES, LANES

PAGES: Final = 40
"""Maximum queries of a lane in one search: some 400,000 entries that it does not look for."""


Wanted = Callable[[Item], bool]


class Sweeper:
    """Searches the indexes for records that have been there too long.

    Args:
        calls: to the table.
        layout: of the indexes.
    """

    def __init__(self, calls: Calls, layout: Layout) -> None:
        self._calls = calls
        self._layout = layout

    async def due(self, now: float, stored_before: float, limit: int, without: Collection[str]) -> list[Waiting]:
        def wanted(item: Item) -> bool:
            return item["action"]["S"] not in without and _overdue(item, now, stored_before)

        shards = range(self._layout.shards)
        lanes = await all_of(self._timed(shard, now, limit, wanted) for shard in shards)
        lanes += await all_of(self._ready(shard, stored_before, limit, wanted) for shard in shards)
        found = [item for lane in lanes for item in lane]
        return [Waiting((item["owner"]["S"], item["id"]["S"]), item["action"]["S"]) for item in found[:limit]]

    async def ended_undelivered(self, ended_after: float, ended_before: float, limit: int) -> list[Key]:
        lanes = await all_of(
            self._some(
                limit,
                lambda _item: True,
                IndexName=EXPIRIES,
                KeyConditionExpression="#expiry = :expiry AND #expires BETWEEN :after AND :until",
                ExpressionAttributeNames={"#expiry": "expiry", "#expires": "expires"},
                ExpressionAttributeValues={
                    ":expiry": text(f"{UNTOLD}#{shard}"),
                    ":after": text(before(ended_after)),
                    ":until": text(f"{before(ended_before)}{LAST}"),
                },
            )
            for shard in range(self._layout.shards)
        )
        return [(item["owner"]["S"], item["id"]["S"]) for lane in lanes for item in lane][:limit]

    async def _timed(self, shard: int, now: float, limit: int, wanted: Wanted) -> list[Item]:
        return await self._some(
            limit,
            wanted,
            IndexName=LANES,
            KeyConditionExpression="#lane = :lane AND #place <= :now",
            ExpressionAttributeNames={"#lane": "lane", "#place": "place"},
            ExpressionAttributeValues={":lane": text(f"{TIMED}#{shard}"), ":now": text(f"{before(now)}{LAST}")},
        )

    async def _ready(self, shard: int, stored_before: float, limit: int, wanted: Wanted) -> list[Item]:
        return await self._some(
            limit,
            wanted,
            IndexName=LANES,
            KeyConditionExpression="#lane = :lane",
            FilterExpression="#number < :before",
            ExpressionAttributeNames={"#lane": "lane", "#number": "number"},
            ExpressionAttributeValues={
                ":lane": text(f"{READY}#{shard}"),
                ":before": {"N": str(micros(stored_before))},
            },
        )

    async def _some(self, limit: int, wanted: Wanted, **parameters: Any) -> list[Item]:
        """About this many items of a query; fewer when there are too many other entries."""
        items: list[Item] = []
        start: dict[str, Any] = {}
        for _ in range(PAGES):
            page = await self._calls.make("query", TableName=self._calls.table, **parameters, **start)
            items += filter(wanted, page["Items"])
            if "LastEvaluatedKey" not in page or len(items) >= limit:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return items


def _overdue(item: Item, now: float, stored_before: float) -> bool:
    if item["status"]["S"] == Status.PENDING.value:
        # The query filters by the time of storing; the record's clock may have been set back since.
        return True
    limit = now if item["status"]["S"] == Status.PROCESSING.value else stored_before
    return float(item["due_at"]["N"]) <= limit
