"""The writes of DynamoDB: `transitions.advance` expressed as conditions and updates. Pure functions.

The frequent changes of a request are one conditional write each, without a read before: it is stored, claimed, renewed,
reports progress, completes, is delivered. For all others the record is read, passed to `transitions.advance`, and
written under the condition that nobody wrote in between.

Each write assigns a new `version`. It identifies a write whose response was lost when the write is repeated: the
condition fails, and the existing item is our own.
"""

from __future__ import annotations

from typing import Any

from streamer.contracts.stores import Key
from streamer.core.records import Status
from streamer.core.transitions import Claimed, Completed, Delivered, Progressed, Renewed
from streamer_aws.dynamodb.values import Item, Value, data, number, text
from streamer_aws.store.items import ENDED, TIMED, UNTOLD, Layout, gone_at, shard_of, timed

Parameters = dict[str, Any]
"""Of one call."""


class Change:
    """An UpdateItem under construction. Names and values use placeholders, because many of our names are reserved
    words.

    Args:
        table: its name.
        key: of the item.
        version: after the write.
    """

    def __init__(self, table: str, key: Key, version: str) -> None:
        self._table = table
        self._key = key
        self._names: dict[str, str] = {}
        self._values: dict[str, Value] = {}
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []
        self.set("version", text(version))

    def set(self, name: str, value: Value) -> None:
        """Sets the attribute."""
        self._sets.append(f"{self._name(name)} = {self._value(value)}")

    def add(self, name: str, amount: int) -> None:
        """Increments the number."""
        self._sets.append(f"{self._name(name)} = {self._name(name)} + {self._value(number(amount))}")

    def remove(self, *names: str) -> None:
        """Removes the attributes."""
        self._removes += map(self._name, names)

    def only_if(self, name: str, comparison: str, value: Value) -> None:
        """Requires that the comparison of the attribute is true."""
        self._conditions.append(f"{self._name(name)} {comparison} {self._value(value)}")

    def only_if_there(self, name: str, there: bool) -> None:
        """Requires that the attribute exists, or does not exist."""
        self._conditions.append(f"attribute_{'exists' if there else 'not_exists'}({self._name(name)})")

    def parameters(self, returned: str = "NONE") -> Parameters:
        """The arguments of UpdateItem. A refusal returns the existing item."""
        removes = f" REMOVE {', '.join(self._removes)}" if self._removes else ""
        return {
            "TableName": self._table,
            "Key": key_of(self._key),
            "UpdateExpression": f"SET {', '.join(self._sets)}{removes}",
            "ConditionExpression": " AND ".join(self._conditions),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
            "ReturnValues": returned,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _name(self, name: str) -> str:
        placeholder = f"#{name}"
        self._names[placeholder] = name
        return placeholder

    def _value(self, value: Value) -> str:
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = value
        return placeholder


def key_of(key: Key) -> Item:
    """The table's key of a request."""
    return {"owner": text(key[0]), "id": text(key[1])}


def create(table: str, item: Item, now: float) -> Parameters:
    """PutItem: stores it unless one exists that is not expired."""
    return {
        "TableName": table,
        "Item": item,
        "ConditionExpression": "attribute_not_exists(#owner) OR #gone_at <= :now",
        "ExpressionAttributeNames": {"#owner": "owner", "#gone_at": "gone_at"},
        "ExpressionAttributeValues": {":now": number(now)},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def replace(table: str, item: Item, version: str) -> Parameters:
    """PutItem: replaces the one with that version."""
    return {
        "TableName": table,
        "Item": item,
        "ConditionExpression": "#version = :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": text(version)},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def delete(table: str, key: Key, finished_before: float) -> Parameters:
    """DeleteItem: deletes it if it has ended before then, and was not started again."""
    return {
        "TableName": table,
        "Key": key_of(key),
        "ConditionExpression": "attribute_not_exists(#due_at) AND #finished_at < :before",
        "ExpressionAttributeNames": {"#due_at": "due_at", "#finished_at": "finished_at"},
        "ExpressionAttributeValues": {":before": number(finished_before)},
    }


def claim(
    table: str,
    key: Key,
    seen: tuple[Status, int],
    event: Claimed,
    layout: Layout,
    version: str,
    *,
    unread: bool = False,
) -> Parameters:
    """UpdateItem: claims a request that is PENDING or RETRYING, has attempts left and is due, as the index showed it.

    Args:
        table: its name.
        key: of the request.
        seen: its state and fence in the index. While they are unchanged, it is still due.
        event: the claim.
        layout: of the indexes.
        version: after the write.
        unread: it was not read from an index; it is claimed if its state allows it and it cannot expire.
    """
    status, fence = seen
    change = Change(table, key, version)
    change.only_if("status", "=", text(status.value))
    change.only_if("fence", "=", number(fence))
    if unread:
        change.only_if_there("expiry", there=False)
    change.set("status", text(Status.PROCESSING.value))
    change.set("fence", number(fence + 1))
    change.add("attempts", 1)
    change.set("worker", text(event.worker))
    change.set("percentage", number(0.0))
    change.set("started_at", number(event.at))
    change.set("updated_at", number(event.at))
    change.remove("message", "progress_metadata", "expiry", "expires")
    _lease(change, key, event.lease_until, layout, version)
    return change.parameters("ALL_NEW")


def renew(table: str, key: Key, event: Renewed, layout: Layout, version: str) -> Parameters:
    """UpdateItem: the claim is renewed."""
    change = _held(table, key, event.fence, version)
    change.set("updated_at", number(event.at))
    _lease(change, key, event.lease_until, layout, version)
    return change.parameters()


def progress(table: str, key: Key, event: Progressed, version: str) -> Parameters:
    """UpdateItem: also refused if the percentage or `seq` would decrease, which an expression cannot prevent
    otherwise.
    """
    change = _held(table, key, event.fence, version)
    change.only_if("percentage", "<=", number(event.percentage))
    change.only_if("seq", "<=", number(event.seq))
    change.set("percentage", number(event.percentage))
    change.set("message", text(event.message))
    change.set("progress_metadata", data(event.metadata))
    change.set("seq", number(event.seq))
    change.set("updated_at", number(event.at))
    return change.parameters()


def complete(
    table: str, key: Key, event: Completed, layout: Layout, version: str, away: str | None = None
) -> Parameters:
    """UpdateItem: the claim ends with a result, in the item or in an object with the name `away`."""
    change = _held(table, key, event.fence, version)
    change.set("status", text(Status.COMPLETED.value))
    if away is None:
        change.set("result", data(event.result))
    else:
        change.set("result_at", text(away))
    change.set("percentage", number(100.0))
    if event.progress is not None:
        change.set("message", text(event.progress.message))
        change.set("progress_metadata", data(event.progress.metadata))
    change.set("seq", number(event.seq))
    change.set("updated_at", number(event.at))
    change.set("finished_at", number(event.at))
    change.set("lane", text(f"{ENDED}#{shard_of(*key, layout.shards)}"))
    change.set("place", text(timed(event.at, version)))
    change.set("gone_at", number(gone_at(event.at, layout.retention)))
    if layout.ended_undelivered:
        change.set("expiry", text(f"{UNTOLD}#{shard_of(*key, layout.shards)}"))
        change.set("expires", text(timed(event.at, version)))
    change.remove("due_at", "error")
    return change.parameters()


def deliver(table: str, key: Key, event: Delivered, version: str) -> Parameters:
    """UpdateItem: its outcome was delivered; refused if it has not ended, or was delivered before."""
    change = Change(table, key, version)
    change.only_if_there("owner", there=True)
    change.only_if_there("due_at", there=False)
    change.only_if_there("delivered_at", there=False)
    change.set("delivered_at", number(event.at))
    change.remove("undelivered", "expiry", "expires")
    return change.parameters()


def sent(table: str, key: Key, version: str) -> Parameters:
    """UpdateItem: its outcome was passed to a connection; it is not known whether it arrived."""
    change = Change(table, key, version)
    change.only_if_there("owner", there=True)
    change.only_if_there("due_at", there=False)
    change.only_if_there("delivered_at", there=False)
    change.remove("expiry", "expires")
    return change.parameters()


def _held(table: str, key: Key, fence: int, version: str) -> Change:
    change = Change(table, key, version)
    change.only_if("status", "=", text(Status.PROCESSING.value))
    change.only_if("fence", "=", number(fence))
    return change


def _lease(change: Change, key: Key, until: float, layout: Layout, version: str) -> None:
    change.set("due_at", number(until))
    change.set("lane", text(f"{TIMED}#{shard_of(*key, layout.shards)}"))
    change.set("place", text(timed(until, version)))
