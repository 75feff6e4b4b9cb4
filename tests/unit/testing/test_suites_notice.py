"""The suites of subscriptions, buses, wake-ups and connections fail where a promise is broken."""

from __future__ import annotations

import pytest
from in_process.hub import Hub, InProcessBus, MemorySubscriptions

from streamer.connections.local import LocalConnections
from streamer.testing import (
    BusConformance,
    ConnectionsConformance,
    ManualClock,
    SubscriptionsConformance,
    WakeUpsConformance,
)
from streamer.testing.conformance import buses, wake_ups


@pytest.fixture
def clock():
    return ManualClock()


async def test_a_claim_that_all_get_is_noticed(clock):
    class Generous(MemorySubscriptions):
        async def claim(self, key, connection_id, /, claimed_before=None):
            await super().claim(key, connection_id, claimed_before)
            return True

    made = Generous(clock)
    with pytest.raises(AssertionError):
        await SubscriptionsConformance().test_only_one_process_can_claim_an_outcome(made, lambda: made)


async def test_subscriptions_that_others_do_not_see_are_noticed(clock):
    with pytest.raises(AssertionError):
        await SubscriptionsConformance().test_every_process_sees_a_new_subscriber_immediately(
            MemorySubscriptions(clock), MemorySubscriptions(clock)
        )


async def test_an_orphan_that_still_has_a_subscriber_is_noticed(clock):
    class Hasty(MemorySubscriptions):
        async def is_orphaned(self, key, /):
            return self._over(key)

    with pytest.raises(AssertionError):
        await SubscriptionsConformance().test_a_request_with_another_subscriber_is_not_orphaned(Hasty(clock), clock)


class Altered(InProcessBus):
    """Sends every message as it is altered."""

    def __init__(self, alter):
        super().__init__()
        self._alter = alter

    async def publish(self, address, message, /):
        for one in self._alter(message):
            await super().publish(address, one)


@pytest.mark.parametrize(
    ("alter", "test"),
    [
        (lambda message: [message, message], "test_a_message_arrives_once_at_its_listener"),
        (lambda message: [message[:8000]], "test_a_message_may_be_any_bytes_of_any_size"),
        (
            lambda message: [] if message == b"7" else [message],
            "test_messages_of_one_process_arrive_in_the_order_of_the_calls",
        ),
    ],
    ids=["twice", "cut off", "lost"],
)
async def test_a_bus_that_alters_messages_is_noticed(alter, test, monkeypatch):
    monkeypatch.setattr(buses, "WAIT", 0.05)
    bus = Altered(alter)
    with pytest.raises((AssertionError, TimeoutError)):
        await getattr(BusConformance(), test)(bus, bus)


async def test_a_store_that_does_not_wake_is_noticed(clock, monkeypatch):
    monkeypatch.setattr(wake_ups, "WAIT", 0.05)
    with pytest.raises(TimeoutError):
        await WakeUpsConformance().test_a_request_stored_by_another_process_wakes_the_watch(
            Hub(clock).queue(), Hub(clock).queue(), clock
        )


async def test_connections_that_do_not_say_who_is_gone_are_noticed():
    class Silent(LocalConnections):
        async def broadcast(self, connection_ids, message, /):
            await super().broadcast(connection_ids, message)
            return []

    class Connection:
        def __init__(self, id, connections):
            self.id = id
            self.sent = []
            self._connections = connections
            connections.add(self)

        def send(self, data, /):
            self.sent.append(data)

        async def received(self, _count):
            return self.sent

        async def close(self):
            self._connections.remove(self)

    connections = Silent()
    names = iter("abc")

    async def opened():
        return Connection(next(names), connections)

    with pytest.raises(AssertionError):
        await ConnectionsConformance().test_a_broadcast_reaches_all_and_returns_the_ended_connections(
            connections, opened
        )
