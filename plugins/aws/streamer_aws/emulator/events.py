"""The events for functions, field by field. Pure functions.

Sources: API Gateway's "Lambda proxy integrations for WebSocket APIs", and Lambda's pages on SQS, DynamoDB Streams and
schedules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from streamer_aws.emulator.ids import ACCOUNT, gateway_id, request_id

API_ID = "emulated00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What the gateway knows of a connection, from its handshake."""

    connection_id: str
    connected_at: float
    source_ip: str
    user_agent: str | None
    domain: str
    stage: str


def connect_event(peer: Peer, headers: Sequence[tuple[str, str]], query: str, now: float) -> dict[str, Any]:
    """Sent before the connection is accepted; the only event with headers and query.

    Args:
        peer: the connection.
        headers: of the handshake, unchanged.
        query: of its URL, undecoded.
        now: wall-clock seconds.
    """
    event: dict[str, Any] = {
        "headers": dict(headers),
        "multiValueHeaders": _multiple(headers),
        "requestContext": _context(peer, "$connect", "CONNECT", now),
        "isBase64Encoded": False,
    }
    pairs = parse_qsl(query, keep_blank_values=True)
    if pairs:
        event["queryStringParameters"] = dict(pairs)
    return event


def message_event(peer: Peer, body: str, now: float) -> dict[str, Any]:
    """One message of a client. It has no headers and no query."""
    context = _context(peer, "$default", "MESSAGE", now)
    context["messageId"] = gateway_id()
    return {"requestContext": context, "body": body, "isBase64Encoded": False}


def disconnect_event(peer: Peer, status: int, reason: str, now: float) -> dict[str, Any]:
    """Sent after the end of a connection, but not always."""
    context = _context(peer, "$disconnect", "DISCONNECT", now)
    context["disconnectStatusCode"] = status
    context["disconnectReason"] = reason
    return {"requestContext": context, "isBase64Encoded": False}


def _context(peer: Peer, route: str, kind: str, now: float) -> dict[str, Any]:
    request = gateway_id()
    identity = {"sourceIp": peer.source_ip}
    if peer.user_agent is not None:
        identity["userAgent"] = peer.user_agent
    return {
        "routeKey": route,
        "eventType": kind,
        "extendedRequestId": request,
        "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "messageDirection": "IN",
        "stage": peer.stage,
        "connectedAt": int(peer.connected_at * 1000),
        "requestTimeEpoch": int(now * 1000),
        "identity": identity,
        "requestId": request,
        "domainName": peer.domain,
        "connectionId": peer.connection_id,
        "apiId": API_ID,
    }


def _multiple(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def queue_event(messages: Iterable[Mapping[str, Any]], arn: str, region: str) -> dict[str, Any]:
    """A batch from a queue.

    Args:
        messages: as ReceiveMessage returns them.
        arn: the queue's.
        region: where it is.
    """
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": {
                    name: _message_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
                },
                "md5OfBody": message.get("MD5OfBody") or hashlib.md5(message["Body"].encode()).hexdigest(),  # noqa: S324 - a checksum that the format asks for
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": region,
            }
            for message in messages
        ]
    }


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    lowered = {name[0].lower() + name[1:]: part for name, part in value.items()}
    return {"stringListValues": [], "binaryListValues": [], **lowered}


def stream_event(records: Iterable[Mapping[str, Any]], arn: str) -> dict[str, Any]:
    """A batch from a shard, in the shard's order.

    Args:
        records: from `json_record`.
        arn: the stream's.
    """
    return {"Records": [{**record, "eventSourceARN": arn} for record in records]}


def json_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of GetRecords as functions get it: JSON, with its time in seconds."""
    made: dict[str, Any] = dict(record)
    change = dict(record["dynamodb"])
    moment = change.get("ApproximateCreationDateTime")
    if isinstance(moment, datetime):
        change["ApproximateCreationDateTime"] = moment.timestamp()
    made["dynamodb"] = change
    return made


def scheduled_event(rule: str, region: str, now: float) -> dict[str, Any]:
    """The event of a schedule."""
    return {
        "version": "0",
        "id": request_id(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [f"arn:aws:events:{region}:{ACCOUNT}:rule/{rule}"],
        "detail": {},
    }
