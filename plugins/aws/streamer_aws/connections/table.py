"""The two tables: connections, and their subscriptions to requests. Pure functions.

| table | key | index | what it finds |
| --- | --- | --- | --- |
| `connections` | connection_id | `by_user` (sparse): user | a user's connections |
| | | `by_tenant` (sparse): tenant | a tenant's connections |
| `subscriptions` | request, connection_id | `leaving` (sparse): leaving, leaves_at | requests that were left |
"""

from __future__ import annotations

from typing import Any, Final

from streamer_aws.dynamodb.definitions import index, keys

BY_USER: Final = "by_user"
BY_TENANT: Final = "by_tenant"
LEAVING: Final = "leaving"


def connections_definition(name: str) -> dict[str, Any]:
    """The request for CreateTable: connections."""
    return _definition(name, ("connection_id", None), (index(BY_USER, "user", None), index(BY_TENANT, "tenant", None)))


def subscriptions_definition(name: str) -> dict[str, Any]:
    """The request for CreateTable: subscriptions."""
    return _definition(
        name,
        ("request", "connection_id"),
        (index(LEAVING, "leaving", "leaves_at"),),
    )


def _definition(name: str, key: tuple[str, str | None], indexes: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    named = [*keys(*key), *(part for one in indexes for part in one["KeySchema"])]
    return {
        "TableName": name,
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": "S"}
            for attribute in dict.fromkeys(part["AttributeName"] for part in named)
        ],
        "KeySchema": keys(*key),
        "GlobalSecondaryIndexes": list(indexes),
        "BillingMode": "PAY_PER_REQUEST",
    }
