"""Connections of two gateways over a bus: what each sends to the other's, and how they name each other's."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from in_process.hub import InProcessBus, MemorySubscriptions

from streamer.connections.cluster import ClusterConnections
from streamer.core.clock import SystemClock
from streamer.core.coroutines import DONE
from streamer.core.errors import ConnectionGone, NotSent

KEY = ("client:one", "r1")


class Peer:
    """A `Peer` that records the messages sent to it."""

    owner = "client:one"

    def __init__(self, id):
        self.id = id
        self.sent = []
        self.behind = None

    def send(self, data, /):
        self.sent.append(data)

    def send_latest(self, name, data, final=False, /):
        self.sent.append((name, data, final))

    def room(self):
        return self.behind


@pytest.fixture
def bus():
    return InProcessBus()


@pytest.fixture
async def gateways(bus):
    """Two, each with one connection, and what each was handed by the other."""
    subscriptions = MemorySubscriptions(SystemClock())
    async with AsyncExitStack() as stack:
        made = []
        for name in ("a", "b"):
            connections = ClusterConnections(bus, subscriptions, name)
            connections.peer = Peer(f"conn_{name}")
            connections.add(connections.peer)
            connections.forwarded = []
            await stack.enter_async_context(
                connections.receiving(lambda *forwarded, to=connections.forwarded: to.append(forwarded))
            )
            made.append(connections)
        yield made


async def test_a_connection_has_its_own_name_here_and_another_for_others(gateways):
    a, b = gateways
    await a.subscriptions.add(KEY, "conn_a")
    await b.subscriptions.add(KEY, "conn_b")
    assert await a.subscriptions.of(KEY) == ["conn_a", "conn_b@b"]
    assert await b.subscriptions.of(KEY) == ["conn_a@a", "conn_b"]
    assert await b.subscriptions.claim(KEY, "conn_a@a")
    assert not await a.subscriptions.claim(KEY, "conn_a")


async def test_what_is_sent_to_a_connection_of_another_gateway_is_handed_over_there(gateways):
    a, b = gateways
    await a.send("conn_b@b", b"1", replaces="r1")
    await a.send("conn_b@b", b"2", replaces="r1", final=True)
    assert b.forwarded == [(KEY, "conn_b", b"1", False), (KEY, "conn_b", b"2", True)]
    await a.send("conn_b@b", {"an": "answer"})
    assert b.peer.sent == [b'{"an":"answer"}']
    assert a.send("conn_a", b"here", replaces="r1") is DONE
    assert a.peer.sent == [("r1", b"here", False)]


async def test_a_connection_that_has_ended_elsewhere_is_no_error_and_one_that_ended_here_is(gateways):
    a, b = gateways
    b.remove(b.peer)
    await a.send("conn_b@b", b"1", replaces="r1")
    assert b.forwarded == []
    with pytest.raises(ConnectionGone):
        b.send("conn_b", b"1")


async def test_a_gateway_that_has_ended_takes_nothing_and_nobody_waits_for_it(gateways, bus):
    a, _ = gateways
    await a.send("conn_x@gone", b"1", replaces="r1")
    assert await a.is_active("conn_x@gone")
    assert not await a.is_active("conn_x")


async def test_a_connection_elsewhere_has_room_as_far_as_anybody_here_knows(gateways):
    a, _ = gateways
    a.peer.behind = object()
    assert a.room("conn_a") is a.peer.behind
    assert a.room("conn_b@b") is None


async def test_a_broadcast_reaches_connections_of_all_gateways_and_names_those_that_it_did_not(gateways, bus):
    a, b = gateways
    assert await a.broadcast(["conn_a", "gone", "conn_b@b"], {"n": 1}) == ["gone"]
    assert a.peer.sent == b.peer.sent == [b'{"n":1}']

    async def refuses(_address, _message):
        raise NotSent("the bus is full")

    bus.publish = refuses
    assert await a.broadcast(["conn_a", "conn_b@b"], {"n": 2}) == ["conn_b@b"]


async def test_the_orphans_of_all_gateways_are_the_same(gateways):
    a, b = gateways
    await a.subscriptions.add(KEY, "conn_a", 0.0)
    assert await a.subscriptions.leave("conn_a") == [(KEY, 0.0)]
    assert await b.subscriptions.orphaned() == [KEY]
    assert await b.subscriptions.is_orphaned(KEY)
    await b.subscriptions.clear(KEY)
    assert await a.subscriptions.orphaned() == []
