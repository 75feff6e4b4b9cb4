"""Small values that belong to a table as a whole, each an item of its own."""

from __future__ import annotations

from typing import Any

from streamer_aws.dynamodb.calls import Calls, Refused
from streamer_aws.dynamodb.values import Item, data


async def keep(calls: Calls, key: Item, value: bytes, *, replace: bool = False) -> bytes:
    """Keeps the value in the item with that key, in which no index finds anything.

    Returns what is kept now: what was kept before, unless it is to be replaced.

    Raises:
        StoreUnavailable: the table does not answer.
    """
    item = {**key, "kept": data(value)}
    if replace:
        await calls.make("put_item", TableName=calls.table, Item=item)
        return value
    # Read first: it is there at all times but one.
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
        # Another process was quicker; or it was ourselves, and the answer was lost.
        found = await _read(calls, key)
    return value if found is None else found


async def _read(calls: Calls, key: Item) -> bytes | None:
    answer = await calls.make("get_item", TableName=calls.table, Key=key, ConsistentRead=True)
    item = answer.get("Item")
    return None if item is None else bytes(item["kept"]["B"])
