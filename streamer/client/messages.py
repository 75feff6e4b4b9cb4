"""The messages between client and service, as a client writes and reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from streamer.client.machine import events
from streamer.client.machine.events import Kind
from streamer.core.errors import OVERLOADED, RATE_LIMITED
from streamer.core.messages import ProgressUpdate

TERMINAL: Final = frozenset({"response", "complete", "error"})
_KINDS: Final = {"acknowledgment": Kind.ACKNOWLEDGED, "progress": Kind.PROGRESS}


class Inbound(msgspec.Struct):
    """Any message of the service. Only the fields that the client needs are typed; others are passed on."""

    type: str = ""
    request_id: str | None = None
    seq: int | None = None
    success: Any = None
    data: Any = None
    result: Any = None
    error: Any = None
    metadata: Any = None
    percentage: Any = None
    message: Any = None
    timestamp: Any = None


decode: Final = msgspec.json.Decoder(Inbound).decode
_encode: Final = msgspec.json.Encoder().encode


def encode_request(
    request_id: str,
    action: str,
    payload: Any,
    metadata: Mapping[str, str] | None,
    wait: str | float | None,
) -> bytes:
    """The request as JSON text, without fields that are None.

    Raises:
        TypeError: the payload contains a value that JSON cannot express.
    """
    message: dict[str, Any] = {"id": request_id, "action": action}
    if payload is not None:
        message["payload"] = payload
    if metadata is not None:
        message["metadata"] = metadata
    if wait is not None:
        message["wait"] = wait
    return _encode(message)


def encode_resume(question: str, request_id: str, seq: int) -> bytes:
    """The message that resumes a stored request, for everything newer than `seq`."""
    payload: dict[str, Any] = {"request_id": request_id}
    if seq >= 0:
        payload["after_seq"] = seq
    return encode_request(question, "streamer.resume", payload, None, None)


def event_of(message: Inbound, now: Callable[[], float]) -> events.Message | events.Unaddressed | None:
    """The meaning of a message for the state machine; None if it has none."""
    kind = message.type
    if message.request_id is None:
        # API Gateway's own errors have neither type nor request id; other types without an id do not belong to a
        # request.
        gateway = not kind and bool(message.message)
        if kind != "error" and not gateway:
            return None
        return events.Unaddressed(now(), str(message.message) if gateway else "", gateway=gateway)
    if kind == "error":
        error = message.error if isinstance(message.error, dict) else {}
        if error.get("code") not in (RATE_LIMITED, OVERLOADED):
            return events.Message(message.request_id, Kind.FAILED, message.seq)
        details = error.get("details")
        details = details if isinstance(details, dict) else {}
        delay = details.get("retry_after_ms")
        return events.Message(
            message.request_id,
            Kind.BUSY,
            message.seq,
            reconnect=details.get("reconnect") is True,
            delay=delay if isinstance(delay, int | float) else None,
        )
    if kind in TERMINAL:
        done = Kind.SUCCEEDED if message.success is True else Kind.FAILED
        return events.Message(message.request_id, done, message.seq)
    return events.Message(message.request_id, _KINDS.get(kind, Kind.OTHER), message.seq)


def progress_update(message: Inbound) -> ProgressUpdate:
    """The report in a `progress` message. Missing or invalid fields become neutral values."""
    percentage = message.percentage
    return ProgressUpdate(
        percentage=float(percentage) if isinstance(percentage, int | float) and math.isfinite(percentage) else 0.0,
        message=message.message if isinstance(message.message, str) else "",
        metadata=message.metadata if isinstance(message.metadata, dict) else None,
        timestamp=_seconds(message.timestamp),
    )


def _seconds(text: Any) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return 0.0
