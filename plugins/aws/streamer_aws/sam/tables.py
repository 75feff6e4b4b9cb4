"""The three tables of the template, and what each function may do with them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streamer_aws.connections.table import connections_definition, subscriptions_definition
from streamer_aws.dynamodb.definitions import TTL_ATTRIBUTE
from streamer_aws.store.table import definition

REQUESTS: Final = "RequestsTable"
CONNECTIONS: Final = "ConnectionsTable"
SUBSCRIPTIONS: Final = "SubscriptionsTable"

GRANTS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    # The key of the owners' names is read there.
    "connect": {CONNECTIONS: ("GetItem", "PutItem")},
    # What a connection leaves is noted for the sweep.
    "disconnect": {CONNECTIONS: ("DeleteItem",), SUBSCRIPTIONS: ("Query", "PutItem", "DeleteItem")},
    "default": {
        # The store asks for one item when it is opened, so that a missing table is told at the start.
        REQUESTS: ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem"),
        CONNECTIONS: ("GetItem", "UpdateItem", "DeleteItem"),
        SUBSCRIPTIONS: ("Query", "PutItem", "UpdateItem", "DeleteItem"),
    },
    "processor": {
        REQUESTS: ("GetItem", "PutItem", "UpdateItem"),
        CONNECTIONS: ("UpdateItem", "DeleteItem"),
        SUBSCRIPTIONS: ("Query", "PutItem", "UpdateItem", "DeleteItem"),
    },
    "sweep": {
        REQUESTS: ("GetItem", "Query", "PutItem", "UpdateItem"),
        CONNECTIONS: ("UpdateItem", "DeleteItem"),
        SUBSCRIPTIONS: ("BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem"),
    },
}
"""By function and table: the actions of DynamoDB."""


def tables(names: Mapping[str, Any]) -> dict[str, Any]:
    """The resources.

    Args:
        names: of the tables, as the template writes them, by logical name.
    """
    requests = definition("")
    del requests["StreamSpecification"]["StreamEnabled"]
    described = {
        REQUESTS: (requests, "Retain"),
        # What is in them ends with the connections, and the connections with the stack.
        CONNECTIONS: (connections_definition(""), "Delete"),
        SUBSCRIPTIONS: (subscriptions_definition(""), "Delete"),
    }
    return {
        logical: _resource({**table, "TableName": names[logical]}, TTL_ATTRIBUTE, policy)
        for logical, (table, policy) in described.items()
    }


def statements(function: str) -> list[dict[str, Any]]:
    """What the function's role may do with the tables; with their indexes, where it may query at all."""
    made = []
    for table, actions in GRANTS[function].items():
        made.append(_allowed(actions, {"Fn::GetAtt": [table, "Arn"]}))
        if "Query" in actions:
            made.append(_allowed(("Query",), {"Fn::Sub": f"${{{table}.Arn}}/index/*"}))
    return made


def _allowed(actions: tuple[str, ...], resource: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [f"dynamodb:{action}" for action in actions], "Resource": resource}


def _resource(properties: dict[str, Any], ttl: str, policy: str) -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": policy,
        "UpdateReplacePolicy": policy,
        "Properties": {
            **properties,
            "TimeToLiveSpecification": {"AttributeName": ttl, "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        },
    }
