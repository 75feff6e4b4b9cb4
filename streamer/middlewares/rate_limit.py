"""Limits the rate of requests by connection, principal, tenant or action."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from streamer.contracts.middleware import AdmitNext, Middleware
from streamer.core.buckets import MAX_KEYS, Buckets
from streamer.core.clock import Clock
from streamer.core.errors import RATE_LIMITED, Error
from streamer.core.messages import Request
from streamer.core.units import Rate, format_duration, format_rate

OPTIONS: Final = {
    "type": "object",
    "properties": {
        "per": {
            "enum": ["connection", "principal", "tenant", "action"],
            "default": "connection",
            "description": (
                "What the limit applies to: each connection, each owner, each tenant (each owner if there are no "
                "tenants), or the whole action."
            ),
        },
        "limit": {
            "type": "string",
            "format": "rate",
            "description": "Average rate of requests.",
            "examples": ["100/1m"],
        },
        "burst": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000_000,
            "description": "Maximum number of requests at once after a pause. Default: the count in limit.",
        },
    },
    "required": ["limit"],
    "additionalProperties": False,
}


_NOISE: Final = 1e-3
"""Rounding of waits in milliseconds, which the buckets tolerate."""


def _tenant(request: Request) -> str:
    principal = request.principal
    # An owner has a prefix with a colon, and so does this: no tenant can have the name of an owner.
    return f"tenant:{principal.tenant_id}" if principal is not None and principal.tenant_id else request.owner


_KEYS: Final[Mapping[str, Callable[[Request], str]]] = {
    "connection": lambda request: request.connection_id,
    "principal": lambda request: request.owner,
    "tenant": _tenant,
    "action": lambda request: request.action,
}
_WHO: Final = {
    "connection": "this connection may send",
    "principal": "you may send",
    "tenant": "your tenant may send",
    "action": "all clients together may send",
}


class RateLimit(Middleware):
    """Refuses requests above the rate limit with RATE_LIMITED, before they are queued or run.

    `retry_after_ms` in the refusal is when the request will be accepted, unless others of the same limit come first. A
    refused request uses up no tokens. Each process counts separately.

    Args:
        limit: the average rate.
        clock: time.
        burst: how many at once; None: the limit's count.
        per: `connection`, `principal`, `tenant` or `action`.
        max_keys: how many of them are stored.
    """

    immediate = True

    def __init__(
        self,
        limit: Rate,
        *,
        clock: Clock,
        burst: int | None = None,
        per: str = "connection",
        max_keys: int = MAX_KEYS,
    ) -> None:
        # The service's own actions read the store; only a limit per action, by name, does not apply to them.
        self.service_actions = per != "action"
        self._buckets = Buckets(limit, limit.limit if burst is None else burst, max_keys=max_keys)
        self._key = _KEYS[per]
        self._monotonic = clock.monotonic
        self._refusal = f"{_WHO[per]} {format_rate(limit)}"

    async def admit(self, request: Request, next: AdmitNext, /) -> None:  # noqa: A002 - the contract's name
        wait = self._buckets.take(self._key(request), self._monotonic())
        if wait:
            milliseconds = math.ceil(wait * 1000 - _NOISE)
            raise Error(
                RATE_LIMITED,
                f"Too many requests: {self._refusal}; try again in {format_duration(milliseconds / 1000)}",
                {"retry_after_ms": milliseconds},
            )
        await next(request)
