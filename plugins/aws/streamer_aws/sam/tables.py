"""The three tables of the template, and each function's permissions for them. Pure functions."""

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
    # Reads the key for owners' names.
    "connect": {CONNECTIONS: ("GetItem", "PutItem")},
    # Stores the requests that a connection leaves, for the sweep.
    "disconnect": {CONNECTIONS: ("DeleteItem",), SUBSCRIPTIONS: ("Query", "PutItem", "DeleteItem")},
    "default": {
        # The store reads one item when it is opened, so that the start fails if the table is missing.
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
        names: of the tables, as expressions of the template, by logical name.
    """
    requests = definition("")
    del requests["StreamSpecification"]["StreamEnabled"]
    described = {
        REQUESTS: (requests, "Retain"),
        # The data is only useful while the connections exist, and these end with the stack.
        CONNECTIONS: (connections_definition(""), "Delete"),
        SUBSCRIPTIONS: (subscriptions_definition(""), "Delete"),
    }
    return {
        logical: _resource({**table, "TableName": names[logical]}, TTL_ATTRIBUTE, policy)
        for logical, (table, policy) in described.items()
    }


def statements(function: str) -> list[dict[str, Any]]:
    """The permissions of the function's role for the tables, including their indexes where it may query."""
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
