"""Connections end with their proof: many of them, with one look a second."""

import asyncio

import pytest
from websockets.exceptions import ConnectionClosedError

from streamer.contracts.auth import Authenticator
from streamer.core.principal import Principal
from streamer.testing import ManualClock
from streamer.transports.expiry import SLACK, Expiry, TokenDeadlines


class Peer:
    def __init__(self, name, expires_at):
        self.id = name
        self.principal = Principal(user_id="alice", expires_at=expires_at)
        self.closed = []

    def close(self, code, reason):
        self.closed.append((code, reason))


class Inner:
    """A `FrameReceiver` and `PeerRegistry` in one."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.fixture
def clock():
    return ManualClock(now=1000.0)


@pytest.fixture
def inner():
    return Inner()


@pytest.fixture
def deadlines(clock):
    return TokenDeadlines(leeway=5.0, clock=clock)


@pytest.fixture
def expiry(inner, deadlines, clock):
    return Expiry(inner, inner, deadlines, clock=clock)


ENDED = [(3500, "the token has expired")]


def test_everything_is_handed_on(expiry, deadlines, inner):
    peer = Peer("a", 2000)
    expiry.add(peer)
    expiry.receive(peer, b"frame")
    expiry.confirmed(peer, ["r"])
    expiry.waits(peer)
    expiry.disconnected(peer)
    expiry.remove(peer)
    assert inner.calls == [
        ("add", peer),
        ("receive", peer, b"frame"),
        ("confirmed", peer, ["r"]),
        ("waits", peer),
        ("disconnected", peer),
        ("remove", peer),
    ]


async def test_a_connection_is_closed_when_its_time_and_the_leeway_are_over(expiry, deadlines, clock):
    early, late, forever = Peer("a", 1010), Peer("b", 1020), Peer("c", None)
    for peer in (late, early, forever):
        expiry.add(peer)
    clock.jump(14.9)
    deadlines.look()
    assert early.closed == []
    clock.jump(0.1)
    deadlines.look()
    assert (early.closed, late.closed) == (ENDED, [])
    clock.jump(1e9)
    deadlines.look()
    assert (late.closed, forever.closed) == (ENDED, [])


def test_nothing_comes_in_any_more_before_the_look(expiry, deadlines, clock, inner):
    peer = Peer("a", 1010)
    expiry.add(peer)
    clock.jump(15)
    expiry.receive(peer, b"too late")
    assert peer.closed == ENDED
    assert [call[0] for call in inner.calls] == ["add"]


@pytest.mark.parametrize("new", [1020, None])
def test_a_new_proof_counts_from_then_on(expiry, deadlines, clock, inner, new):
    peer = Peer("a", 1010)
    expiry.add(peer)
    renewed = Principal(user_id="alice", expires_at=new)
    deadlines.renew("a", renewed)
    assert peer.principal is renewed
    clock.jump(20)
    deadlines.look()
    expiry.receive(peer, b"in time")
    assert peer.closed == []
    assert inner.calls[-1] == ("receive", peer, b"in time")
    clock.jump(20)
    deadlines.look()
    assert peer.closed == ([] if new is None else ENDED)


def test_a_new_proof_may_end_earlier(expiry, deadlines, clock):
    peer = Peer("a", 5000)
    expiry.add(peer)
    deadlines.renew("a", Principal(user_id="alice", expires_at=1001))
    clock.jump(6)
    deadlines.look()
    assert peer.closed == ENDED


def test_who_has_gone_is_forgotten(expiry, deadlines, clock):
    peer = Peer("a", 1010)
    expiry.add(peer)
    expiry.remove(peer)
    deadlines.renew("a", Principal(user_id="alice", expires_at=1001))
    clock.jump(100)
    deadlines.look()
    assert peer.closed == []


def test_memory_follows_the_connections_that_are_open(expiry, deadlines):
    for number in range(10_000):
        peer = Peer(str(number), 1e9)
        expiry.add(peer)
        expiry.remove(peer)
    assert len(deadlines._heap) <= SLACK + 2
    stays = Peer("stays", 1e9)
    expiry.add(stays)
    for number in range(10_000):
        deadlines.renew("stays", Principal(user_id="alice", expires_at=1e9 + number))
    assert len(deadlines._heap) <= SLACK + 4


async def test_a_clock_that_was_set_forward_is_noticed_within_a_second(expiry, deadlines, clock):
    peer = Peer("a", 5000)
    expiry.add(peer)
    running = asyncio.create_task(deadlines.run())
    await clock.advance(1)
    clock.jump(10_000)
    await clock.advance(1)
    assert peer.closed == ENDED
    running.cancel()


async def test_over_a_socket_it_is_the_close_code_that_says_so(serve, eventually):
    clock = ManualClock(now=1000.0)

    class ConnectionInfo(Authenticator):
        leeway = 5.0
        immediate = True

        async def authenticate(self, token):
            return Principal(user_id=token, expires_at=1010.0)

    server = await serve(clock, ConnectionInfo(), ping_interval=0.0)
    first = await server.connect("/ws?token=first")
    renewed = await server.connect("/ws?token=renewed")
    server.deadlines.renew(server.peers[1].id, Principal(user_id="renewed", expires_at=2000.0))
    await clock.advance(16)
    with pytest.raises(ConnectionClosedError) as ended:
        await first.recv()
    assert ended.value.rcvd.code == 3500
    server.receiver.answer = lambda peer, frame: peer.send(frame)
    await renewed.send("still here")
    assert await renewed.recv() == "still here"


async def test_without_authentication_there_is_nothing_to_renew(serve):
    server = await serve()
    await server.connect()
    server.deadlines.renew(server.peers[0].id, Principal(user_id="alice"))
    assert server.peers[0].principal is None


@pytest.mark.parametrize(("offered", "chosen"), [(["bearer", "x"], "bearer"), (["bearer"], "bearer"), (["chat"], None)])
async def test_browsers_that_offer_bearer_connect_without_authentication_too(serve, offered, chosen):
    server = await serve()
    assert (await server.connect(subprotocols=offered)).subprotocol == chosen
