"""Creates, checks, upgrades and deletes tables."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.clock import Clock
from streamer.core.errors import StoreError, StoreUnavailable
from streamer_aws.dynamodb.calls import Calls, TableMissing
from streamer_aws.dynamodb.definitions import TTL_ATTRIBUTE, differences

POLL: Final = 2.0
PATIENCE: Final = 150
"""Number of polls of a table that is being created: five minutes."""


async def create(client: Any, definition: dict[str, Any], clock: Clock) -> bool:
    """Creates the table, and returns when it can be used. False when it already exists; then it is not changed.

    Raises:
        StoreUnavailable: it cannot be created, or is not ready after five minutes.
    """
    name = definition["TableName"]
    calls = Calls(client, name, clock)
    if await _description(calls) is not None:
        return False
    await calls.make("create_table", **definition)
    await _until_ready(calls, clock)
    await _enable_ttl(calls)
    return True


async def check(client: Any, definition: dict[str, Any], clock: Clock) -> list[str]:
    """The problems of the table with this definition, one sentence each; empty when it is correct.

    Raises:
        StoreUnavailable: DynamoDB does not respond.
    """
    name = definition["TableName"]
    calls = Calls(client, name, clock)
    description = await _description(calls)
    if description is None:
        return ["the table does not exist; 'streamer backend create' creates it"]
    ttl = await calls.make("describe_time_to_live", TableName=name)
    return differences(description, ttl["TimeToLiveDescription"], definition)


async def migrate(client: Any, definition: dict[str, Any], clock: Clock) -> list[str]:
    """Adds what this version needs and an existing table lacks: indexes, stream, TTL. Returns what was added.

    Raises:
        StoreError: the table does not exist, or has differences that cannot be changed.
        StoreUnavailable: a change is refused, or is not finished after five minutes.
    """
    name = definition["TableName"]
    calls = Calls(client, name, clock)
    description = await _description(calls)
    if description is None:
        raise StoreError(f"the table {name!r} does not exist; 'streamer backend create' creates it")
    done = []
    indexes = list(description.get("GlobalSecondaryIndexes", []))
    existing = {one["IndexName"] for one in indexes}
    for index in definition["GlobalSecondaryIndexes"]:
        if index["IndexName"] not in existing:
            # One index in each call: DynamoDB cannot create two at the same time.
            indexes.append(index)
            await _change(
                calls,
                clock,
                AttributeDefinitions=_attributes(definition, indexes),
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            done.append(f"added the index {index['IndexName']!r}")
    if "StreamSpecification" in definition and not description.get("StreamSpecification", {}).get("StreamEnabled"):
        await _change(calls, clock, StreamSpecification=definition["StreamSpecification"])
        done.append("enabled its stream")
    ttl = await calls.make("describe_time_to_live", TableName=name)
    if ttl["TimeToLiveDescription"].get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        await _enable_ttl(calls)
        done.append(f"set its TTL to the attribute {TTL_ATTRIBUTE!r}")
    remaining = await check(client, definition, clock)
    if remaining:
        raise StoreError(
            f"cannot upgrade the table {name!r} in place: {'; '.join(remaining)}; set another prefix, "
            "or delete the table"
        )
    return done


async def delete(client: Any, name: str, clock: Clock) -> bool:
    """Deletes the table with its content. False when it did not exist.

    Raises:
        StoreUnavailable: it cannot be deleted.
    """
    calls = Calls(client, name, clock)
    if await _description(calls) is None:
        return False
    await calls.make("delete_table", TableName=name)
    return True


class Table:
    """A `Resource`: one table.

    Args:
        client: aiobotocore's, open while this is used.
        definition: as a request for CreateTable.
        clock: for waits.
    """

    def __init__(self, client: Any, definition: dict[str, Any], clock: Clock) -> None:
        self.name: str = definition["TableName"]
        self._client = client
        self._definition = definition
        self._clock = clock

    async def check(self) -> list[str]:
        return await check(self._client, self._definition, self._clock)

    async def create(self) -> bool:
        return await create(self._client, self._definition, self._clock)

    async def migrate(self) -> list[str]:
        return await migrate(self._client, self._definition, self._clock)

    async def delete(self) -> bool:
        return await delete(self._client, self.name, self._clock)


async def _change(calls: Calls, clock: Clock, **changes: Any) -> None:
    await calls.make("update_table", TableName=calls.table, **changes)
    await _until_ready(calls, clock)


def _attributes(definition: dict[str, Any], indexes: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The definitions of the attributes in keys: DynamoDB accepts no others."""
    keyed = [definition, *definition.get("LocalSecondaryIndexes", []), *indexes]
    used = {key["AttributeName"] for one in keyed for key in one["KeySchema"]}
    return [one for one in definition["AttributeDefinitions"] if one["AttributeName"] in used]


async def _enable_ttl(calls: Calls) -> None:
    ttl = {"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
    await calls.make("update_time_to_live", TableName=calls.table, TimeToLiveSpecification=ttl)


async def _until_ready(calls: Calls, clock: Clock) -> None:
    for _ in range(PATIENCE):
        description = await _description(calls)
        if description is not None and description["TableStatus"] == "ACTIVE":
            indexes = description.get("GlobalSecondaryIndexes", [])
            if all(one.get("IndexStatus", "ACTIVE") == "ACTIVE" for one in indexes):
                return
        await clock.sleep(POLL)
    raise StoreUnavailable(f"the table {calls.table!r} is not ready yet; check again with 'streamer backend check'")


async def _description(calls: Calls) -> dict[str, Any] | None:
    # Listing would avoid an error, but may return thousands of other names.
    try:
        described = await calls.make("describe_table", TableName=calls.table)
    except TableMissing:
        return None
    table: dict[str, Any] = described["Table"]
    return table
