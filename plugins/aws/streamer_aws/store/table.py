"""The table: its keys and indexes. Pure functions.

| index | keys | what it finds | consistency |
| --- | --- | --- | --- |
| `open_by_owner` (local) | owner, undelivered | an owner's unfinished or undelivered records | strong |
| `lanes` | lane, place | records to claim, ended records, the number of each | eventual |
| `expiries` (sparse) | expiry, expires | records that wait with a time limit | eventual |
| `listing` | listing, made | all records, newest first | eventual |
| `by_owner` | owner, made | an owner's records, newest first | eventual |
| `ids` | id, owner | every owner's record with an id | eventual |
"""

from __future__ import annotations

from typing import Any, Final

from streamer_aws.dynamodb.definitions import index, keys

LANES: Final = "lanes"
EXPIRIES: Final = "expiries"
LISTING: Final = "listing"
BY_OWNER: Final = "by_owner"
IDS: Final = "ids"
OPEN_BY_OWNER: Final = "open_by_owner"

CANDIDATE: Final = (
    "action", "priority", "tenant", "number", "status", "fence", "attempts", "max_attempts", "due_at", "expires_at",
)  # fmt: skip
"""The attributes that a claim needs before it tries to claim a record."""

_GLOBAL: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    LANES: ("lane", "place", CANDIDATE),
    EXPIRIES: ("expiry", "expires", ()),
    LISTING: ("listing", "made", ()),
    IDS: ("id", "owner", ()),
    BY_OWNER: ("owner", "made", ()),
}


def definition(name: str) -> dict[str, Any]:
    """The request for CreateTable: on-demand billing, and a stream that wakes processors."""
    attributes = ["owner", "id", "undelivered", *(key for one in _GLOBAL.values() for key in one[:2])]
    return {
        "TableName": name,
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": "S"} for attribute in dict.fromkeys(attributes)
        ],
        "KeySchema": keys("owner", "id"),
        "LocalSecondaryIndexes": [index(OPEN_BY_OWNER, "owner", "undelivered", ())],
        "GlobalSecondaryIndexes": [index(of, *parts) for of, parts in _GLOBAL.items()],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    }
