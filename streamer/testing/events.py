"""Events of an API Gateway WebSocket API, as its Lambda functions get them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

_CONNECTED_AT = 1_767_225_600_000


def websocket_event(
    body: Any = None,
    *,
    kind: str = "MESSAGE",
    connection_id: str = "L0SM9cOFvHcCIhw=",
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    authorizer: dict[str, Any] | None = None,
    base64_encoded: bool = False,
) -> dict[str, Any]:
    """One event with the fields that the gateway sends.

    Args:
        body: of a MESSAGE: text unchanged, anything else as JSON.
        kind: CONNECT, MESSAGE or DISCONNECT.
        connection_id: the connection.
        query: of a CONNECT; the other kinds have none.
        headers: of a CONNECT; the other kinds have none.
        authorizer: the result of the route's authorizer.
        base64_encoded: send the body as base64.
    """
    at = datetime.fromtimestamp(_CONNECTED_AT / 1000, UTC)
    context: dict[str, Any] = {
        "routeKey": {"CONNECT": "$connect", "DISCONNECT": "$disconnect"}.get(kind, "$default"),
        "eventType": kind,
        "extendedRequestId": "Xk2oTGu5oAMEJ3g=",
        "requestTime": at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "messageDirection": "IN",
        "stage": "production",
        "connectedAt": _CONNECTED_AT,
        "requestTimeEpoch": _CONNECTED_AT + 1000,
        "identity": {"sourceIp": "127.0.0.1", "userAgent": "test"},
        "requestId": "Xk2oTGu5oAMEJ3g=",
        "domainName": "example.execute-api.eu-central-1.amazonaws.com",
        "connectionId": connection_id,
        "apiId": "example",
    }
    if authorizer is not None:
        context["authorizer"] = authorizer
    event: dict[str, Any] = {"requestContext": context, "isBase64Encoded": base64_encoded}
    if kind == "CONNECT":
        given = headers or {"Host": context["domainName"]}
        event["headers"] = given
        event["multiValueHeaders"] = {name: [value] for name, value in given.items()}
        if query is not None:
            event["queryStringParameters"] = query
    elif kind == "DISCONNECT":
        context["disconnectStatusCode"] = 1005
        context["disconnectReason"] = ""
    else:
        text = body if isinstance(body, str) else json.dumps(body)
        context["messageId"] = "Xk2oTdYdoAMCJkQ="
        event["body"] = base64.b64encode(text.encode()).decode() if base64_encoded else text
    return event
