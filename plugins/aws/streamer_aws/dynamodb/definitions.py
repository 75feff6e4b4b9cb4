"""The required tables, as requests for CreateTable, and their differences from existing ones. Pure functions."""

from __future__ import annotations

from typing import Any, Final

TTL_ATTRIBUTE: Final = "gone_at"
"""When an item may be deleted, in whole seconds since 1970."""


def differences(description: dict[str, Any], ttl: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The differences from what this version needs, one sentence each.

    Args:
        description: `Table` of DescribeTable.
        ttl: `TimeToLiveDescription` of DescribeTimeToLive.
        wanted: its definition.
    """
    found = []
    if _sorted_keys(description) != _sorted_keys(wanted):
        key = ", ".join(part["AttributeName"] for part in wanted["KeySchema"])
        found.append(f"its key is not ({key}); it is a different table, or of another version")
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        there = {one["IndexName"]: one for one in description.get(kind, [])}
        for one in wanted.get(kind, []):
            found += _index_differences(one, there.get(one["IndexName"]))
    if "StreamSpecification" in wanted and not description.get("StreamSpecification", {}).get("StreamEnabled"):
        found.append("its stream is disabled: it cannot wake processors")
    if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING") or ttl.get("AttributeName") != TTL_ATTRIBUTE:
        found.append(
            f"its TTL is not on the attribute {TTL_ATTRIBUTE!r}: ended requests are never deleted, and are billed"
        )
    if description.get("TableStatus") != "ACTIVE":
        found.append(f"its status is {description.get('TableStatus')}, not ACTIVE")
    return found


def _index_differences(wanted: dict[str, Any], there: dict[str, Any] | None) -> list[str]:
    name = wanted["IndexName"]
    if there is None:
        return [f"the index {name!r} is missing"]
    if _sorted_keys(there) != _sorted_keys(wanted):
        return [f"the index {name!r} has other keys"]
    projected = set(there["Projection"].get("NonKeyAttributes", ()))
    missing = set(wanted["Projection"].get("NonKeyAttributes", ())) - projected
    if missing and there["Projection"]["ProjectionType"] != "ALL":
        return [f"the index {name!r} lacks the attributes {', '.join(sorted(missing))}"]
    return []


def index(name: str, partition: str, sort: str | None, attributes: tuple[str, ...] = ()) -> dict[str, Any]:
    """An index, as a request for CreateTable; it contains the keys, and these attributes."""
    projection: dict[str, Any] = {"ProjectionType": "INCLUDE" if attributes else "KEYS_ONLY"}
    if attributes:
        projection["NonKeyAttributes"] = list(attributes)
    return {"IndexName": name, "KeySchema": keys(partition, sort), "Projection": projection}


def keys(partition: str, sort: str | None = None) -> list[dict[str, str]]:
    """The key of a table or an index."""
    found = [{"AttributeName": partition, "KeyType": "HASH"}]
    return found if sort is None else [*found, {"AttributeName": sort, "KeyType": "RANGE"}]


def _sorted_keys(described: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((key["KeyType"], key["AttributeName"]) for key in described["KeySchema"])
