"""Makes, checks and deletes tables."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.clock import Clock
from streamer.core.errors import StoreUnavailable
from streamer.dynamodb.calls import Calls
from streamer.dynamodb.definitions import TTL_ATTRIBUTE, differences

POLL: Final = 2.0
PATIENCE: Final = 150
"""Looks at a table that is being made: five minutes."""


async def create(client: Any, definition: dict[str, Any], clock: Clock) -> bool:
    """Makes the table, and returns when it can be used. False when it was there already; then it is left as it is.

    Raises:
        StoreUnavailable: it cannot be made, or is not ready after five minutes.
    """
    name = definition["TableName"]
    calls = Calls(client, name, clock)
    if await _description(calls) is not None:
        return False
    await calls.make("create_table", **definition)
    for _ in range(PATIENCE):
        there = await _description(calls)
        if there is not None and there["TableStatus"] == "ACTIVE":
            break
        await clock.sleep(POLL)
    else:
        raise StoreUnavailable(f"the table {name!r} is still not ready; look again with 'streamer tables check'")
    await calls.make(
        "update_time_to_live",
        TableName=name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE},
    )
    return True


async def check(client: Any, definition: dict[str, Any], clock: Clock) -> list[str]:
    """What is wrong with the table of this definition, one sentence each; empty when it is as it must be.

    Raises:
        StoreUnavailable: it cannot be asked.
    """
    name = definition["TableName"]
    calls = Calls(client, name, clock)
    description = await _description(calls)
    if description is None:
        return ["it is not there; 'streamer tables create' makes it"]
    ttl = await calls.make("describe_time_to_live", TableName=name)
    return differences(description, ttl["TimeToLiveDescription"], definition)


async def delete(client: Any, name: str, clock: Clock) -> bool:
    """Deletes the table with all that is in it. False when there was none.

    Raises:
        StoreUnavailable: it cannot be deleted.
    """
    calls = Calls(client, name, clock)
    if await _description(calls) is None:
        return False
    await calls.make("delete_table", TableName=name)
    return True


async def _description(calls: Calls) -> dict[str, Any] | None:
    # Listing would be the way without an error, but may bring thousands of names of others.
    try:
        described = await calls.make("describe_table", TableName=calls.table)
    except StoreUnavailable as problem:
        if getattr(problem.__cause__, "response", {}).get("Error", {}).get("Code") == "ResourceNotFoundException":
            return None
        raise
    table: dict[str, Any] = described["Table"]
    return table
