"""The messages of the wire, as a client writes and reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from streamer.core.messages import ProgressUpdate

TERMINAL: Final = frozenset({"response", "complete", "error"})


class Inbound(msgspec.Struct):
    """Any message of the service. Only what the client steers by is typed, so that what it does not know passes."""

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
    """The request as JSON text; what is None is left out.

    Raises:
        TypeError: the payload holds something that JSON has no word for.
    """
    message: dict[str, Any] = {"id": request_id, "action": action}
    if payload is not None:
        message["payload"] = payload
    if metadata is not None:
        message["metadata"] = metadata
    if wait is not None:
        message["wait"] = wait
    return _encode(message)


def progress_update(message: Inbound) -> ProgressUpdate:
    """The report of progress that a `progress` message carries. What is missing or odd becomes the neutral value."""
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
