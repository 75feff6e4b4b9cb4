"""Limits for payloads, stricter than those of the transport and the codec."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streamer.contracts.middleware import AdmitNext, Middleware
from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.core.messages import Request
from streamer.core.units import format_size

OPTIONS: Final = {
    "type": "object",
    "properties": {
        "max_payload": {
            "type": "string",
            "format": "size",
            "description": "Maximum size of the payload as JSON. Unlimited if omitted.",
        },
        "max_depth": {
            "type": "integer",
            "minimum": 1,
            "description": "Maximum nesting of arrays and objects in the payload. Unlimited if omitted.",
        },
    },
    "additionalProperties": False,
}


class Limits(Middleware):
    """Refuses payloads that are too large or too deeply nested, before they are queued or run."""

    immediate = True

    def __init__(self, *, max_payload: int | None = None, max_depth: int | None = None) -> None:
        self._max_payload = max_payload
        self._max_depth = max_depth

    async def admit(self, request: Request, next: AdmitNext, /) -> None:  # noqa: A002 - the contract's name
        if self._max_depth is not None and deeper_than(request.payload, self._max_depth):
            raise _refusal(f"has more than {self._max_depth} levels of arrays and objects")
        if self._max_payload is not None:
            size = len(msgspec.json.encode(request.payload))
            if size > self._max_payload:
                raise _refusal(f"has {size} bytes, but {format_size(self._max_payload)} are allowed")
        await next(request)


def deeper_than(value: Any, levels: int) -> bool:
    """Whether arrays and objects are nested deeper than that."""
    level = [value]
    for _ in range(levels + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return True


def _refusal(text: str) -> Error:
    return Error(VALIDATION_ERROR, f"Invalid payload: it {text}", {"errors": [{"path": "", "message": text}]})
