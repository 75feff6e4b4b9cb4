"""The built-in middlewares as components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamer.contracts.components import BuildContext, Component, Kind
from streamer.core.units import parse_duration, parse_rate, parse_size
from streamer.middlewares import access_log, limits, rate_limit, timeout


def components() -> list[Component]:
    """Access log, timeout, limits and rate limit."""
    return [
        Component(
            kind=Kind.MIDDLEWARE,
            name="access_log",
            factory=_access_log,
            summary="Logs one line per request: action, ids, outcome, duration",
            options=access_log.OPTIONS,
            immediate=True,
        ),
        Component(
            kind=Kind.MIDDLEWARE,
            name="timeout",
            factory=_timeout,
            summary="Stops handlers that take too long, with TIMEOUT",
            options=timeout.OPTIONS,
            immediate=True,
        ),
        Component(
            kind=Kind.MIDDLEWARE,
            name="limits",
            factory=_limits,
            summary="Refuses payloads that are too large or too deeply nested",
            options=limits.OPTIONS,
            immediate=True,
        ),
        Component(
            kind=Kind.MIDDLEWARE,
            name="rate_limit",
            factory=_rate_limit,
            summary="Limits the rate of requests; refuses others with RATE_LIMITED",
            options=rate_limit.OPTIONS,
            immediate=True,
        ),
    ]


def _access_log(options: Mapping[str, Any], context: BuildContext) -> access_log.AccessLog:
    return access_log.AccessLog(
        clock=context.clock, logger=context.logger, slower_than=parse_duration(options.get("slower_than", "0s"))
    )


def _timeout(options: Mapping[str, Any], _context: BuildContext) -> timeout.Timeout:
    queued = options.get("queued_limit")
    return timeout.Timeout(
        limit=parse_duration(options.get("limit", "30s")),
        queued_limit=None if queued is None else parse_duration(queued),
    )


def _limits(options: Mapping[str, Any], _context: BuildContext) -> limits.Limits:
    size = options.get("max_payload")
    return limits.Limits(max_payload=None if size is None else parse_size(size), max_depth=options.get("max_depth"))


def _rate_limit(options: Mapping[str, Any], context: BuildContext) -> rate_limit.RateLimit:
    return rate_limit.RateLimit(
        parse_rate(options["limit"]),
        clock=context.clock,
        burst=options.get("burst"),
        per=options.get("per", "connection"),
    )
