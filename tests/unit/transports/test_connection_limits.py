"""Counts by address and by owner."""

from __future__ import annotations

from streamer.config.settings import ServerSettings
from streamer.core.units import Rate
from streamer.testing import ManualClock
from streamer.transports.connection_limits import ConnectionLimits


def limits_of(clock=None, **settings):
    return ConnectionLimits(ServerSettings(**settings), clock or ManualClock())


def test_an_owner_has_so_many_connections_wherever_they_come_from():
    made = limits_of(max_connections_per_principal=2)
    for house in "ab":
        assert made.full(house, "principal:/me") is None
        made.add(house, "principal:/me")
    refused = made.full("c", "principal:/me")
    assert refused.status == 429
    assert dict(refused.headers) == {"Retry-After": "1"}
    assert "server.max_connections_per_principal" in refused.body
    assert made.full("a", "principal:/you") is None
    made.remove("a", "principal:/me")
    assert made.full("c", "principal:/me") is None


def test_connections_without_an_owner_of_their_own_are_not_counted_and_nothing_stays_behind():
    made = limits_of(max_connections_per_principal=1)
    for number in range(100):
        made.add("a", f"connection:{number}")
    assert made.full("a", "connection:new") is None
    assert not made._owners
    for number in range(100):
        made.remove("a", f"connection:{number}")
    assert not made._addresses


def test_an_address_has_so_many_connections_whoever_they_belong_to():
    made = limits_of(max_connections_per_address=2)
    made.add("a", "client:1")
    assert made.arrives("a") is None
    made.add("a", "client:2")
    assert "server.max_connections_per_address" in made.arrives("a").body
    assert made.full("a", "client:3").status == 429
    assert made.arrives("b") is None
    made.remove("a", "client:1")
    assert made.arrives("a") is None


async def test_an_address_begins_so_many_connections_in_a_time_and_is_told_when_the_next_may_come():
    clock = ManualClock()
    made = limits_of(clock, connection_rate=Rate(2, 10.0))
    assert [made.arrives("a") for _ in range(2)] == [None, None]
    refused = made.arrives("a")
    assert (refused.status, dict(refused.headers)) == (429, {"Retry-After": "5"})
    assert "server.connection_rate" in refused.body
    assert made.arrives("b") is None
    await clock.advance(5)
    assert made.arrives("a") is None
    assert made.arrives("a") is not None


def test_without_limits_for_addresses_any_number_may_come():
    made = limits_of()
    for number in range(2000):
        assert made.arrives("a") is None
        made.add("a", f"connection:{number}")
