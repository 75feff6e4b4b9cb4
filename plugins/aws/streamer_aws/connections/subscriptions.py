"""Stores which connections are subscribed to which requests, one item for each pair."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer_aws.connections.rows import LIFETIME, SLACK
from streamer_aws.connections.table import LEAVING
from streamer_aws.dynamodb.calls import Calls, Refused, all_of
from streamer_aws.dynamodb.values import LAST, Item, before, number, text

LEFT: Final = "~left"
"""Replaces the connection's id where a request was left. No connection has this id."""
BACK: Final = "~connection#"
"""Replaces the request's key in the items that list a connection's requests which end with their subscribers. An index
would lag behind, and requests left within a second or two of their start would run for nobody.
"""
_LONGEST_SORT: Final = 1000
"""Maximum bytes of a name in the second part of the key, which can have 1,024."""
_LONGEST: Final = 2000
"""Maximum bytes of a request's key, which can have 2,048; a longer one is replaced by its hash."""
_WEEK: Final = 7 * 86400


class SubscriptionRows:
    """`Subscriptions` in a table.

    Args:
        calls: to the table of subscriptions.
        clock: time.
    """

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock

    async def add(self, key: Key, connection_id: str, /, ends_after: float | None = None) -> None:
        gone_at = number(int(self._clock.now()) + LIFETIME + SLACK)
        if ends_after is not None:
            # Written first, so that the end of the connection cannot miss it.
            item: Item = {
                **_back(connection_id, key),
                "owner": text(key[0]),
                "id": text(key[1]),
                "ends_after": number(ends_after),
                "gone_at": gone_at,
            }
            await self._calls.make("put_item", TableName=self._calls.table, Item=item)
        item = {**_row(key, connection_id), "gone_at": gone_at}
        await self._calls.make("put_item", TableName=self._calls.table, Item=item)

    async def of(self, key: Key, /, claimed_before: float | None = None) -> list[str]:
        return [
            item["connection_id"]["S"]
            for item in await self._rows(key)
            if item["connection_id"]["S"] != LEFT and self._follows(item, claimed_before)
        ]

    async def claim(self, key: Key, connection_id: str, /, claimed_before: float | None = None) -> bool:
        now = self._clock.now()
        condition = "attribute_not_exists(#told_at)"
        me = secrets.token_hex(6)
        values = {":now": number(now), ":me": text(me)}
        if claimed_before is not None:
            condition = f"({condition} OR #told_at <= :before)"
            values[":before"] = number(claimed_before)
        try:
            await self._calls.make(
                "update_item",
                TableName=self._calls.table,
                Key=_row(key, connection_id),
                UpdateExpression="SET #told_at = :now, #told_by = :me",
                ConditionExpression=f"attribute_exists(#request) AND {condition}",
                ExpressionAttributeNames={"#told_at": "told_at", "#told_by": "told_by", "#request": "request"},
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except Refused as refused:
            # It is ours if the first answer was lost and the call was repeated.
            return refused.item is not None and refused.item.get("told_by") == text(me)
        return True

    async def drop(self, key: Key, connection_id: str, /) -> None:
        """Ends one subscription."""
        await self._calls.make("delete_item", TableName=self._calls.table, Key=_row(key, connection_id))

    async def leave(self, connection_id: str, /) -> list[tuple[Key, float]]:
        found = await self._calls.pages(
            ConsistentRead=True,
            KeyConditionExpression="#request = :request",
            ExpressionAttributeNames={"#request": "request"},
            ExpressionAttributeValues={":request": text(f"{BACK}{connection_id}")},
        )
        return await all_of(self._leave(connection_id, item) for item in found)

    async def is_orphaned(self, key: Key, /) -> bool:
        rows = await self._rows(key)
        marks = [row for row in rows if row["connection_id"]["S"] == LEFT]
        over = any(row["leaves_at"]["S"] < f"{before(self._clock.now())}{LAST}" for row in marks)
        return over and not any(self._follows(row, None) for row in rows if row["connection_id"]["S"] != LEFT)

    async def orphaned(self, limit: int = 100, /) -> list[Key]:
        answer = await self._calls.make(
            "query",
            TableName=self._calls.table,
            IndexName=LEAVING,
            KeyConditionExpression="#leaving = :leaving AND #leaves_at <= :now",
            ExpressionAttributeNames={"#leaving": "leaving", "#leaves_at": "leaves_at"},
            ExpressionAttributeValues={":leaving": text(LEAVING), ":now": text(f"{before(self._clock.now())}{LAST}")},
            Limit=limit,
        )
        rows = await self._calls.get_many(
            {"request": row["request"], "connection_id": row["connection_id"]} for row in answer["Items"]
        )
        return [(row["owner"]["S"], row["id"]["S"]) for row in rows]

    async def clear(self, key: Key, /) -> None:
        await self.drop(key, LEFT)

    async def _leave(self, connection_id: str, item: Item) -> tuple[Key, float]:
        """Can be repeated: a partial failure is completed when the end is reported again."""
        key = (item["owner"]["S"], item["id"]["S"])
        after = float(item["ends_after"]["N"])
        now = self._clock.now()
        await self._calls.make(
            "put_item",
            TableName=self._calls.table,
            Item={
                **_row(key, LEFT),
                "owner": text(key[0]),
                "id": text(key[1]),
                "leaving": text(LEAVING),
                "leaves_at": text(before(now + after)),
                "gone_at": number(int(now + after) + _WEEK),
            },
        )
        await self.drop(key, connection_id)
        await self._calls.make("delete_item", TableName=self._calls.table, Key=_back(connection_id, key))
        return key, after

    async def _rows(self, key: Key) -> list[Item]:
        return await self._calls.pages(
            ConsistentRead=True,
            KeyConditionExpression="#request = :request",
            ExpressionAttributeNames={"#request": "request"},
            ExpressionAttributeValues={":request": text(_name(key))},
        )

    def _follows(self, row: Item, claimed_before: float | None) -> bool:
        if float(row["gone_at"]["N"]) <= self._clock.now():
            return False
        delivered: Any = row.get("told_at")
        return delivered is None or (claimed_before is not None and float(delivered["N"]) <= claimed_before)


def _row(key: Key, connection_id: str) -> Item:
    return {"request": text(_name(key)), "connection_id": text(connection_id)}


def _back(connection_id: str, key: Key) -> Item:
    """The key of the item that lists, by connection, a request that ends with it."""
    name = _name(key)
    if len(name.encode()) > _LONGEST_SORT:
        name = hashlib.blake2b(name.encode(), digest_size=32).hexdigest()
    return {"request": text(f"{BACK}{connection_id}"), "connection_id": text(name)}


def _name(key: Key) -> str:
    # The length distinguishes owners and ids that would otherwise read the same.
    name = f"{len(key[0])}#{key[0]}#{key[1]}"
    if len(name.encode()) <= _LONGEST:
        return name
    return hashlib.blake2b(name.encode(), digest_size=32).hexdigest()
