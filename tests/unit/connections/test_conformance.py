"""The suites of connections, subscriptions, buses and wake-ups, on what is in this process."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from in_process.hub import Hub, InProcessBus, MemorySubscriptions

from streamer.connections.cluster import ClusterConnections
from streamer.connections.local import LocalConnections
from streamer.core.clock import SystemClock
from streamer.engine.subscriptions import LocalSubscriptions
from streamer.testing import BusConformance, ConnectionsConformance, SubscriptionsConformance, WakeUpsConformance
from streamer.testing.conformance.subscriptions import OrphansConformance

numbers = itertools.count()


class Connection:
    """A `Peer` as far as connections use it, and an `OpenConnection`: it takes all that it is sent at once.

    Args:
        held_by: the connections of its process.
        gateway: what the sender adds to its id.
    """

    owner = "client:one"

    def __init__(self, held_by, gateway=""):
        self.id = f"conn_{next(numbers)}"
        self._held_by = held_by
        self._sent = []
        self._changed = asyncio.Event()
        held_by.add(self)
        self.seen_by_sender = self
        if gateway:
            self.seen_by_sender = Elsewhere(self, gateway)

    def send(self, data, /):
        self._sent.append(data)
        self._changed.set()

    def send_latest(self, _name, data, _final=False, /):
        self.send(data)

    def room(self):
        return None

    async def received(self, count):
        async with asyncio.timeout(10):
            while len(self._sent) < count:
                self._changed.clear()
                await self._changed.wait()
        return self._sent

    async def close(self):
        self._held_by.remove(self)


class Elsewhere:
    """A connection of another gateway, as the sender names it."""

    def __init__(self, connection, gateway):
        self.id = f"{connection.id}@{gateway}"
        self.received = connection.received
        self.close = connection.close


class TestLocalConnections(ConnectionsConformance):
    @pytest.fixture
    def connections(self):
        return LocalConnections()

    @pytest.fixture
    def open_connection(self, connections):
        async def opened():
            return Connection(connections)

        return opened


class TestConnectionsOfThisGateway(ConnectionsConformance):
    @pytest.fixture
    def connections(self):
        return ClusterConnections(InProcessBus(), MemorySubscriptions(SystemClock()), "here")

    @pytest.fixture
    def open_connection(self, connections):
        async def opened():
            return Connection(connections)

        return opened


class TestConnectionsOfAnotherGateway(ConnectionsConformance):
    notices_ends = False

    @pytest.fixture
    def hub(self):
        return Hub()

    @pytest.fixture
    def connections(self, hub):
        return ClusterConnections(hub.bus, hub.subscriptions, "here")

    @pytest.fixture
    async def open_connection(self, hub):
        there = ClusterConnections(hub.bus, hub.subscriptions, "there")

        def forward(_key, connection_id, message, _final):
            there.send(connection_id, message)

        async def opened():
            return Connection(there, "there").seen_by_sender

        async with there.receiving(forward):
            yield opened


class TestInProcessBus(BusConformance):
    @pytest.fixture
    def open_bus(self):
        bus = InProcessBus()

        async def opened():
            return bus

        return opened


class TestMemorySubscriptions(SubscriptionsConformance):
    @pytest.fixture
    def open_subscriptions(self, clock):
        made = MemorySubscriptions(clock)
        return lambda: made


class TestLocalSubscriptions(OrphansConformance):
    @pytest.fixture
    def open_subscriptions(self, clock):
        made = LocalSubscriptions(clock)
        return lambda: made


class TestHubsQueue(WakeUpsConformance):
    @pytest.fixture
    def open_queue(self, clock):
        hub = Hub(clock)

        async def opened():
            return hub.queue()

        return opened
