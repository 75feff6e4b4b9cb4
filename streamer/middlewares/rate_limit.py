"""How often a connection, a principal or a tenant may ask, or how often an action may be asked for."""

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
                "What has a limit of its own: each connection, each owner of requests, each tenant (an owner where "
                "there are no tenants), or each action for all together."
            ),
        },
        "limit": {
            "type": "string",
            "format": "rate",
            "description": "How many requests in what time, on average.",
            "examples": ["100/1m"],
        },
        "burst": {
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000_000,
            "description": "How many at once after a pause; the limit's count when left out.",
        },
    },
    "required": ["limit"],
    "additionalProperties": False,
}


_NOISE: Final = 1e-3
"""Milliseconds that a wait may be longer than it is, by arithmetic; the buckets forgive as much."""


def _tenant(request: Request) -> str:
    principal = request.principal
    # An owner begins with what it is and a colon, and so does this: no tenant can be called as an owner is.
    return f"tenant:{principal.tenant_id}" if principal is not None and principal.tenant_id else request.owner


_KEYS: Final[Mapping[str, Callable[[Request], str]]] = {
    "connection": lambda request: request.connection_id,
    "principal": lambda request: request.owner,
    "tenant": _tenant,
    "action": lambda request: request.action,
}
_WHO: Final = {
    "connection": "this connection may ask for",
    "principal": "you may ask for",
    "tenant": "your tenant may ask for",
    "action": "this action may be asked for",
}


class RateLimit(Middleware):
    """Refuses what comes too often with RATE_LIMITED, before it is queued or run.

    `retry_after_ms` of the refusal is when a request will get through, unless others of the same limit come first.
    A refused request takes nothing. Each process counts for itself.

    Args:
        limit: how many requests in what time.
        clock: time.
        burst: how many at once; the limit's count when None.
        per: `connection`, `principal`, `tenant` or `action`.
        max_keys: how many of them are remembered.
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
        # The service's own actions cost reads of the store; only what is limited by its name is not about them.
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
