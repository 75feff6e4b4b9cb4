"""The table: its keys and indexes, how it is made, and how one that exists differs from it. Pure.

| index | keys | what it finds | consistency |
| --- | --- | --- | --- |
| `open_by_owner` (local) | owner, unsettled | what an owner has open, or was not told of yet | strong |
| `lanes` | lane, place | what may be claimed, what ended, how many of each | eventual |
| `expiries` (sparse) | expiry, expires | what waits and must not wait for ever | eventual |
| `listing` | listing, made | all records, newest first | eventual |
| `ids` | id, owner | every owner's record of one id | eventual |
"""

from __future__ import annotations

from typing import Any, Final

LANES: Final = "lanes"
EXPIRIES: Final = "expiries"
LISTING: Final = "listing"
IDS: Final = "ids"
OPEN_BY_OWNER: Final = "open_by_owner"
TTL_ATTRIBUTE: Final = "gone_at"

CANDIDATE: Final = (
    "action", "priority", "tenant", "number", "status", "fence", "attempts", "max_attempts", "due_at", "expires_at",
)  # fmt: skip
"""What a claim must know of a record before it tries to take it."""

_GLOBAL: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    LANES: ("lane", "place", CANDIDATE),
    EXPIRIES: ("expiry", "expires", ()),
    LISTING: ("listing", "made", ()),
    IDS: ("id", "owner", ()),
}


def definition(name: str) -> dict[str, Any]:
    """What CreateTable is asked for: billing by request, and a stream that wakes processors."""
    attributes = ["owner", "id", "unsettled", *(key for one in _GLOBAL.values() for key in one[:2])]
    return {
        "TableName": name,
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": "S"} for attribute in dict.fromkeys(attributes)
        ],
        "KeySchema": _keys("owner", "id"),
        "LocalSecondaryIndexes": [_index(OPEN_BY_OWNER, "owner", "unsettled", ())],
        "GlobalSecondaryIndexes": [_index(index, *parts) for index, parts in _GLOBAL.items()],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    }


def differences(description: dict[str, Any], ttl: dict[str, Any]) -> list[str]:
    """What is not as this version needs it, one sentence each.

    Args:
        description: `Table` of DescribeTable.
        ttl: `TimeToLiveDescription` of DescribeTimeToLive.
    """
    wanted = definition(description["TableName"])
    found = []
    if _sorted_keys(description) != _sorted_keys(wanted):
        found.append("its key is not (owner, id); it is another table, or of another version")
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        there = {index["IndexName"]: index for index in description.get(kind, [])}
        for index in wanted[kind]:
            found += _index_differences(index, there.get(index["IndexName"]))
    if not description.get("StreamSpecification", {}).get("StreamEnabled"):
        found.append("its stream is off: processors that Streams are to wake stay asleep")
    if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING") or ttl.get("AttributeName") != TTL_ATTRIBUTE:
        found.append(f"its TTL is not on the attribute {TTL_ATTRIBUTE!r}: what has ended stays, and is paid for")
    if description.get("TableStatus") != "ACTIVE":
        found.append(f"it is {description.get('TableStatus')}, not ACTIVE yet")
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
        return [f"the index {name!r} leaves out {', '.join(sorted(missing))}"]
    return []


def _index(name: str, partition: str, sort: str, attributes: tuple[str, ...]) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": "INCLUDE" if attributes else "KEYS_ONLY"}
    if attributes:
        projection["NonKeyAttributes"] = list(attributes)
    return {"IndexName": name, "KeySchema": _keys(partition, sort), "Projection": projection}


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def _sorted_keys(described: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((key["KeyType"], key["AttributeName"]) for key in described["KeySchema"])
