"""Stores small values of a table as a whole, one item each."""

from __future__ import annotations

from typing import Any

from streamer_aws.dynamodb.calls import Calls, Refused
from streamer_aws.dynamodb.values import Item, data


async def keep(calls: Calls, key: Item, value: bytes, *, replace: bool = False) -> bytes:
    """Stores the value in the item with that key, which no index contains.

    Returns the value that is now stored: the previous one, unless it is replaced.

    Raises:
        StoreUnavailable: the table does not respond.
    """
    item = {**key, "kept": data(value)}
    if replace:
        await calls.make("put_item", TableName=calls.table, Item=item)
        return value
    # Read first: it exists, except the first time.
    found = await _read(calls, key)
    if found is not None:
        return found
    parameters: dict[str, Any] = {
        "ConditionExpression": "attribute_not_exists(#kept)",
        "ExpressionAttributeNames": {"#kept": "kept"},
    }
    try:
        await calls.make("put_item", TableName=calls.table, Item=item, **parameters)
    except Refused:
        # Another process was faster; or it was this one, and the response was lost.
        found = await _read(calls, key)
    return value if found is None else found


async def _read(calls: Calls, key: Item) -> bytes | None:
    answer = await calls.make("get_item", TableName=calls.table, Key=key, ConsistentRead=True)
    item = answer.get("Item")
    return None if item is None else bytes(item["kept"]["B"])
