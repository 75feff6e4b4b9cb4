"""Stores information about each connection, one item each."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Final

import msgspec

from streamer.contracts.connections import ConnectionInfo
from streamer.core.clock import Clock
from streamer.core.errors import ConnectionGone
from streamer.core.principal import Principal
from streamer_aws.dynamodb.calls import Calls, Refused
from streamer_aws.dynamodb.kept_values import keep
from streamer_aws.dynamodb.values import Item, as_json, before, number, text

LIFETIME: Final = 2 * 3600
"""Maximum lifetime of a connection in API Gateway, in seconds."""
SLACK: Final = 600
"""Additional seconds for which it is stored, since clocks differ."""
MOST_UNCONFIRMED: Final = 100
"""Maximum outcomes of one connection that are stored until its next message. The cost of each depends on the size of
the item.
"""

_principal: Final = msgspec.json.Decoder(Principal)


class ConnectionRows:
    """A `ConnectionRegistry` in a table.

    Args:
        calls: to the table of connections.
        clock: time.
    """

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock

    async def add(self, connection_id: str, known: ConnectionInfo, /) -> None:
        now = self._clock.now()
        item: Item = {
            "connection_id": text(connection_id),
            "owner": text(known.owner),
            "connected_at": number(now),
            "gone_at": number(int(now) + LIFETIME + SLACK),
        }
        if known.principal is not None:
            item |= {"principal": as_json(known.principal), "user": text(known.principal.owner)}
            if known.principal.tenant_id:
                item["tenant"] = text(known.principal.tenant_id)
        await self._calls.make("put_item", TableName=self._calls.table, Item=item)

    async def get(self, connection_id: str, /) -> ConnectionInfo | None:
        """Strongly consistent, because the first message arrives right after the connection opened."""
        answer = await self._calls.make(
            "get_item", TableName=self._calls.table, Key=_key(connection_id), ConsistentRead=True
        )
        item: Item | None = answer.get("Item")
        if item is None or float(item["gone_at"]["N"]) <= self._clock.now():
            return None
        proof = item.get("principal")
        return ConnectionInfo(
            item["owner"]["S"],
            None if proof is None else _principal.decode(proof["S"]),
            tuple(item["unconfirmed"]["SS"]) if "unconfirmed" in item else (),
        )

    async def sent(self, connection_id: str, request_id: str, at: float, /) -> None:
        outcome = f"{before(at)}#{request_id}"
        with contextlib.suppress(Refused):
            await self._change(
                connection_id,
                "ADD #unconfirmed :outcomes",
                [outcome],
                " AND (attribute_not_exists(#unconfirmed) OR size(#unconfirmed) < :most)",
                {":most": number(MOST_UNCONFIRMED)},
            )

    async def confirm(self, connection_id: str, outcomes: Collection[str], /) -> None:
        with contextlib.suppress(Refused):
            await self._change(connection_id, "DELETE #unconfirmed :outcomes", list(outcomes))

    async def _change(
        self, connection_id: str, expression: str, outcomes: list[str], condition: str = "", values: Item | None = None
    ) -> None:
        await self._calls.make(
            "update_item",
            TableName=self._calls.table,
            Key=_key(connection_id),
            UpdateExpression=expression,
            # An ended connection must not be stored again as an item that nobody deletes.
            ConditionExpression=f"attribute_exists(#connection_id){condition}",
            ExpressionAttributeNames={"#unconfirmed": "unconfirmed", "#connection_id": "connection_id"},
            ExpressionAttributeValues={":outcomes": {"SS": outcomes}, **(values or {})},
        )

    async def renew(self, connection_id: str, principal: Principal, /) -> None:
        try:
            await self._calls.make(
                "update_item",
                TableName=self._calls.table,
                Key=_key(connection_id),
                UpdateExpression="SET #principal = :principal",
                ConditionExpression="attribute_exists(#connection_id)",
                ExpressionAttributeNames={"#principal": "principal", "#connection_id": "connection_id"},
                ExpressionAttributeValues={":principal": as_json(principal)},
            )
        except Refused:
            raise ConnectionGone(f"connection {connection_id} is not open") from None

    async def remove(self, connection_id: str, /) -> None:
        await self._calls.make("delete_item", TableName=self._calls.table, Key=_key(connection_id))

    async def keep(self, name: str, value: bytes, /) -> bytes:
        return await keep(self._calls, _key(f"streamer:{name}"), value)

    async def found(self, by: str, attribute: str, value: str) -> list[str]:
        """The connections with a value in an index; slightly out of date."""
        items = await self._calls.pages(
            IndexName=by,
            KeyConditionExpression="#attribute = :value",
            ExpressionAttributeNames={"#attribute": attribute},
            ExpressionAttributeValues={":value": text(value)},
        )
        return [item["connection_id"]["S"] for item in items]


def confirmed_by(outcomes: Collection[str], sent_at: float) -> dict[str, str]:
    """Which of the outcomes a message confirms that the client sent at that time: those sent before it.

    Returns the id of each one's request, by the outcome's name.
    """
    until = before(sent_at)
    found = {}
    for outcome in outcomes:
        moment, _, request_id = outcome.partition("#")
        if moment <= until:
            found[outcome] = request_id
    return found


def _key(connection_id: str) -> Item:
    return {"connection_id": text(connection_id)}
