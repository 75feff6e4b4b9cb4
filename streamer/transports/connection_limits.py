"""Limits the connections per address and per owner."""

from __future__ import annotations

import math
from collections import Counter
from http import HTTPStatus

from streamer.config.settings import ServerSettings
from streamer.core.buckets import Buckets
from streamer.core.clock import Clock
from streamer.transports.answers import Answered


class ConnectionLimits:
    """Counts open connections by address and by owner, and new ones by address.

    An address is an IPv4 address or an IPv6 network of 64 bits. Owners that are only a connection are not counted: each
    has one.
    """

    def __init__(self, settings: ServerSettings, clock: Clock) -> None:
        self._per_address = settings.max_connections_per_address
        self._per_owner = settings.max_connections_per_principal
        rate = settings.connection_rate
        self._buckets = None if rate is None else Buckets(rate, rate.limit)
        self._clock = clock
        self._addresses: Counter[str] = Counter()
        self._owners: Counter[str] = Counter()

    def arrives(self, address: str) -> Answered | None:
        """The answer that refuses a new connection from that address; None allows it."""
        if self._buckets is not None and (wait := self._buckets.take(address, self._clock.monotonic())):
            return _too_many("new connections from your address, in server.connection_rate", math.ceil(wait))
        return self._full(address)

    def full(self, address: str, owner: str) -> Answered | None:
        """The answer that refuses another open connection of that address and owner; None allows it."""
        if self._owners[owner] >= self._per_owner:
            return _too_many("connections of yours, in server.max_connections_per_principal")
        return self._full(address)

    def add(self, address: str, owner: str) -> None:
        """A connection is open."""
        self._addresses[address] += 1
        if not owner.startswith("connection:"):
            self._owners[owner] += 1

    def remove(self, address: str, owner: str) -> None:
        """A counted connection has ended."""
        _less(self._addresses, address)
        if not owner.startswith("connection:"):
            _less(self._owners, owner)

    def _full(self, address: str) -> Answered | None:
        if self._per_address is not None and self._addresses[address] >= self._per_address:
            return _too_many("connections from your address, in server.max_connections_per_address")
        return None


def _less(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def _too_many(what: str, seconds: int = 1) -> Answered:
    return Answered(HTTPStatus.TOO_MANY_REQUESTS, f"too many {what}\n", (("Retry-After", str(seconds)),))
