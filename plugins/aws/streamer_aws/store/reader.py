"""Reads records: by owner, by id, in pages, and their numbers."""

from __future__ import annotations

import base64
import binascii
import heapq
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from streamer.contracts.stores import Key, Page
from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.core.records import Status
from streamer.core.summaries import RequestSummary, summarize
from streamer_aws.dynamodb.calls import Calls, all_of
from streamer_aws.dynamodb.values import LAST, Item, before, micros, text
from streamer_aws.store.items import ENDED, READY, TIMED, Layout, gone, to_stored
from streamer_aws.store.table import BY_OWNER, IDS, LANES, LISTING, OPEN_BY_OWNER
from streamer_aws.store.writes import key_of

_MADE: Final = re.compile(r"\d{20,}#\d{20,}#[0-9a-f]{16}")
MOST: Final = 100
"""Maximum requests of one page: as many as one BatchGetItem reads."""
LOOKED_AT: Final = 200
"""Maximum requests that are examined for one page."""
UNSETTLED_AT_ONCE: Final = 1000
"""Keys of one query, some 100 KB."""
SUMMARY: Final = (
    "made", "number", "version", "action", "status", "created_at", "updated_at", "started_at", "finished_at",
    "delivered_at", "due_at", "expires_at", "attempts", "max_attempts", "priority", "fence", "worker", "percentage",
    "message", "seq", "error",
)  # fmt: skip
"""The attributes of a listing: no payload, no result, no history."""


class Reader:
    """Reads records.

    Args:
        calls: to the table.
        layout: of the indexes.
    """

    def __init__(self, calls: Calls, layout: Layout) -> None:
        self._calls = calls
        self._layout = layout

    async def undelivered(self, owner: str, limit: int, now: float) -> list[Key]:
        """Strongly consistent, so that a request that was acknowledged a moment ago is included.

        Items are read only for records that are older than ended ones are kept: they may be deleted and still be in the
        index.
        """
        found: list[Item] = []
        start: dict[str, Any] = {}
        newer = f"{micros(now - self._layout.retention):020d}"
        while len(found) < limit:
            page = await self._calls.make(
                "query",
                TableName=self._calls.table,
                IndexName=OPEN_BY_OWNER,
                ConsistentRead=True,
                KeyConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": text(owner)},
                Limit=min(limit - len(found), UNSETTLED_AT_ONCE),
                **start,
            )
            keys = page["Items"]
            old = [key for key in keys if key["undelivered"]["S"] < newer]
            found += await self._items(old, "undelivered", now, ("undelivered",), consistent=True)
            found += keys[len(old) :]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return [(item["owner"]["S"], item["id"]["S"]) for item in found]

    async def find(self, request_id: str, limit: int, now: float) -> list[RequestSummary]:
        if limit <= 0:
            return []
        answer = await self._calls.make(
            "query",
            TableName=self._calls.table,
            IndexName=IDS,
            KeyConditionExpression="#id = :id",
            ExpressionAttributeNames={"#id": "id"},
            ExpressionAttributeValues={":id": text(request_id)},
            Limit=limit,
        )
        return _summaries(await self._items(answer["Items"], "made", now, SUMMARY, consistent=True))

    async def page(
        self, owner: str | None, status: Status | None, action: str | None, limit: int, cursor: str | None, now: float
    ) -> Page:
        """A few calls, however much is stored.

        A filter also reads what it excludes, but at most `LOOKED_AT` for a page, which may then be short.
        """
        if limit <= 0:
            return Page([], None)
        limit = min(limit, MOST)
        after = LAST if cursor is None else _decode(cursor)
        found: list[Item] = []
        looked_at = 0
        while True:
            # One more than requested shows whether there are more.
            count = limit + 1 - len(found) if status is None and action is None else MOST
            keys, after = await self._listed(owner, after, count)
            looked_at += len(keys)
            found += [
                item
                for item in reversed(await self._items(keys, "made", now, SUMMARY))
                if (status is None or item["status"]["S"] == status.value)
                and (action is None or item["action"]["S"] == action)
            ]
            if len(found) > limit:
                return Page(_summaries(found[:limit]), _encode(found[limit - 1]["made"]["S"]))
            if not after or looked_at >= LOOKED_AT:
                return Page(_summaries(found), _encode(after) if after else None)

    async def counts(self, now: float) -> dict[Status, int]:
        """It reads the whole index, some 5,000 read units for 100,000 records."""
        lanes = [f"{lane}#{shard}" for lane in (READY, TIMED, ENDED) for shard in range(self._layout.shards)]
        pages = await all_of(self._statuses(lane, now) for lane in lanes)
        counted = sum(pages, Counter[str]())
        return {status: counted[status.value] for status in Status}

    async def ended(self, finished_before: float, now: float) -> list[Key]:
        """Keys of records that ended before then. The table's TTL deletes expired ones, free of charge."""
        oldest = now - self._layout.retention
        if finished_before <= oldest:
            return []
        lanes = await all_of(
            self._lane(f"{ENDED}#{shard}", before(oldest), f"{before(finished_before)}{LAST}")
            for shard in range(self._layout.shards)
        )
        return [(item["owner"]["S"], item["id"]["S"]) for lane in lanes for item in lane]

    async def _listed(self, owner: str | None, after: str, count: int) -> tuple[list[Item], str]:
        """This many keys older than a place, newest first, and the place after them; empty at the end."""
        if owner is None:
            names = [("listing", f"all#{shard}") for shard in range(self._layout.shards)]
        else:
            names = [("owner", owner)]
        answers = await all_of(
            self._calls.make(
                "query",
                TableName=self._calls.table,
                IndexName=LISTING if owner is None else BY_OWNER,
                KeyConditionExpression="#of = :of AND #made < :after",
                ExpressionAttributeNames={"#of": attribute, "#made": "made"},
                ExpressionAttributeValues={":of": text(value), ":after": text(after)},
                ScanIndexForward=False,
                Limit=count,
            )
            for attribute, value in names
        )
        merged = heapq.merge(*(answer["Items"] for answer in answers), key=lambda item: item["made"]["S"], reverse=True)
        keys = list(merged)
        more = len(keys) > count or any("LastEvaluatedKey" in answer for answer in answers)
        keys = keys[:count]
        return keys, keys[-1]["made"]["S"] if more and keys else ""

    async def _statuses(self, lane: str, now: float) -> Counter[str]:
        after = before(now - self._layout.retention) if lane.startswith(ENDED) else " "
        return Counter(item["status"]["S"] for item in await self._lane(lane, after, LAST))

    async def _lane(self, lane: str, after: str, until: str) -> Sequence[Item]:
        return await self._calls.pages(
            IndexName=LANES,
            KeyConditionExpression="#lane = :lane AND #place BETWEEN :after AND :until",
            ProjectionExpression="#owner, #id, #status",
            ExpressionAttributeNames={
                "#lane": "lane", "#place": "place", "#owner": "owner", "#id": "id", "#status": "status",
            },
            ExpressionAttributeValues={":lane": text(lane), ":after": text(after), ":until": text(until)},
        )  # fmt: skip

    async def _items(
        self, keys: Sequence[Item], order: str, now: float, attributes: tuple[str, ...], *, consistent: bool = False
    ) -> list[Item]:
        """The items of the keys that still exist and have the attribute, in its order."""
        items = await self._calls.get_many(
            (key_of((key["owner"]["S"], key["id"]["S"])) for key in keys),
            attributes=("owner", "id", "gone_at", *attributes),
            consistent=consistent,
        )
        return sorted(
            (item for item in items if order in item and not gone(item, now)), key=lambda item: item[order]["S"]
        )


def _summaries(items: Sequence[Item]) -> list[RequestSummary]:
    return [summarize(to_stored(item).record) for item in items]


def _encode(made: str) -> str:
    return base64.urlsafe_b64encode(made.encode()).decode()


def _decode(cursor: str) -> str:
    try:
        made = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        made = ""
    if not _MADE.fullmatch(made):
        raise Error(VALIDATION_ERROR, "The cursor does not come from this store")
    return made
