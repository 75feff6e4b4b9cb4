from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from streamer.config.settings import ServerSettings
from streamer.testing import ManualClock
from streamer.transports.heartbeat import Heartbeat

PING, PONG, CLOSE = 9, 10, 8


class Peer:
    """Part of what the heartbeat looks at: remembers what was done to it. Unlike a real connection it stays in the set
    that is looked at, and nothing ever stirs in it unless the test says so.
    """

    def __init__(self) -> None:
        self.heard = self.spoke = self.pinged = False
        self.quiet = self.idle = 0.0
        self.running = 0
        self.stirs = False
        self.done: list[str] = []

    def stirred(self) -> bool:
        return self.stirs

    def ping(self) -> None:
        self.done.append("ping")

    def give_up(self) -> None:
        self.done.append("cut")

    def waits(self) -> bool:
        return self.running > 0

    def close(self, code: int, reason: str) -> None:
        self.done.append(f"close {code} {reason}")


def heartbeat(*, ping_interval=30.0, ping_timeout=20.0, idle_timeout=0.0):
    peer = Peer()
    settings = ServerSettings(ping_interval=ping_interval, ping_timeout=ping_timeout, idle_timeout=idle_timeout)
    return Heartbeat(settings, {peer}, ManualClock()), peer


def test_silence_is_asked_about_once_and_then_cut():
    beat, peer = heartbeat()
    for passed in (10, 10, 9):
        beat.look(passed)
    assert peer.done == []
    beat.look(1)
    assert peer.done == ["ping"]
    beat.look(19)
    assert peer.done == ["ping"]
    beat.look(1)
    assert peer.done == ["ping", "cut"]


def test_a_late_look_leaves_the_pong_its_time():
    beat, peer = heartbeat()
    beat.look(1000)
    assert peer.done == ["ping"]
    beat.look(19)
    assert peer.done == ["ping"]
    beat.look(1)
    assert peer.done == ["ping", "cut"]


@pytest.mark.parametrize("sign", ["heard", "stirs"])
def test_any_sign_of_life_begins_the_silence_anew(sign):
    beat, peer = heartbeat()
    beat.look(30)
    beat.look(19)
    setattr(peer, sign, True)
    beat.look(19)
    peer.stirs = False
    beat.look(29)
    assert peer.done == ["ping"]
    beat.look(1)
    assert peer.done == ["ping", "ping"]


def test_without_an_interval_nobody_is_pinged_or_cut():
    beat, peer = heartbeat(ping_interval=0)
    beat.look(1e6)
    beat.look(1e6)
    assert peer.done == []


def test_without_a_timeout_nobody_is_cut():
    beat, peer = heartbeat(ping_timeout=0)
    beat.look(30)
    beat.look(1e6)
    assert peer.done == ["ping"]


def test_a_connection_that_only_answers_pings_is_idle_and_closed():
    beat, peer = heartbeat(idle_timeout=60)
    for _ in range(5):
        peer.heard = True
        beat.look(11)
    assert peer.done == []
    peer.heard = True
    beat.look(5)
    assert peer.done == ["close 1001 idle"]


def test_a_connection_that_speaks_is_not_idle():
    beat, peer = heartbeat(idle_timeout=60)
    for _ in range(10):
        peer.heard = peer.spoke = True
        beat.look(59)
    assert peer.done == []


def test_a_connection_whose_request_is_running_is_not_idle_until_a_whole_time_after():
    beat, peer = heartbeat(idle_timeout=60, ping_interval=0)
    peer.running = 1
    for _ in range(3):
        beat.look(100)
    peer.running = 0
    beat.look(59)
    assert peer.done == []
    beat.look(1)
    assert peer.done == ["close 1001 idle"]


async def test_with_everything_turned_off_nothing_runs():
    beat, _ = heartbeat(ping_interval=0, idle_timeout=0)
    await beat.run()


@pytest.mark.parametrize(
    ("settings", "looks"),
    [({}, 4), ({"ping_interval": 10.0}, 8), ({"idle_timeout": 4.0}, 20), ({"ping_timeout": 0.0}, 2)],
)
async def test_it_looks_four_times_in_the_shortest_interval(settings, looks):
    beat, _ = heartbeat(**settings)
    times = []
    beat.look = times.append
    running = asyncio.create_task(beat.run())
    await beat._clock.advance(20)
    assert len(times) == looks
    assert sum(times) <= 20
    running.cancel()


# Over real sockets


async def test_a_silent_client_is_pinged_and_cut_when_no_pong_comes(serve, eventually):
    clock = ManualClock()
    server = await serve(clock, ping_interval=30.0, ping_timeout=20.0)
    client = await server.raw()
    await clock.advance(45)
    assert await client.frame() == (PING, b"")
    assert not server.receiver.ended
    await clock.advance(25)
    await client.ended()
    await eventually(lambda: bool(server.receiver.ended))
    assert server.receiver.ended == server.registry.removed == server.peers


async def test_a_client_that_answers_pings_stays(serve, frame):
    clock = ManualClock()
    server = await serve(clock, ping_interval=30.0, ping_timeout=20.0)
    client = await server.raw()
    (peer,) = server.peers
    for _ in range(5):
        await clock.advance(45)
        assert await client.frame() == (PING, b"")
        client.write(frame(b"", PONG))
        while not peer.heard:
            await asyncio.sleep(0.001)
    assert not server.receiver.ended


async def test_half_a_frame_is_a_sign_of_life(serve, frame):
    clock = ManualClock()
    server = await serve(clock, ping_interval=30.0, ping_timeout=20.0)
    client = await server.raw()
    (peer,) = server.peers
    peer.stirred()
    whole = frame(b"x" * 1000)
    for place in range(0, 100, 10):
        room = peer._room
        client.write(whole[place : place + 10])
        while len(peer._stream.get_protocol().get_buffer(-1)) == room:
            await asyncio.sleep(0.001)
        await clock.advance(25)
    assert not server.receiver.ended
    assert not peer.pinged


async def test_an_idle_client_is_told_to_go_and_one_that_speaks_stays(serve, eventually):
    clock = ManualClock()
    server = await serve(clock, idle_timeout=60.0, ping_interval=0.0)
    idle, busy = await server.connect(), await server.connect()
    for number in range(3):
        await busy.send("still here")
        await eventually(lambda wanted=number + 1: len(server.receiver.frames) == wanted)
        await clock.advance(40)
    with pytest.raises(ConnectionClosed) as closed:
        await idle.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "idle")
    assert len(server.receiver.ended) <= 1
    assert await server.registry.is_active(server.peers[1].id)


async def test_a_message_in_fragments_is_a_message_and_a_ping_is_none(serve, frame, eventually):
    server = await serve(ManualClock())
    client = await server.raw()
    (peer,) = server.peers
    peer.spoke = False
    client.write(frame(b"", PING))
    assert (await client.frame())[0] == PONG
    assert not peer.spoke
    client.write(frame(b"frag", fin=False) + frame(b"ments", 0))
    await eventually(lambda: server.receiver.frames == [b"fragments"])
    assert peer.spoke


async def test_connections_have_no_timers_of_their_own(serve):
    loop = asyncio.get_running_loop()
    if not hasattr(loop, "_scheduled"):
        pytest.skip("uvloop does not show its timers")

    def timers():
        return sum(not timer.cancelled() for timer in loop._scheduled)

    server = await serve(ManualClock())
    before = timers()
    for _ in range(20):
        await server.raw()
    assert timers() == before


async def test_a_client_that_broke_the_protocol_and_does_not_read_is_cut_in_the_end(serve, frame, eventually):
    # What the library refuses it closes itself, and then waits for the client to read all that is left. Only the
    # heartbeat ends that: with `ping_interval` 0 such a connection lasts until the client ends it.
    clock = ManualClock()
    server = await serve(clock, max_buffered=10_000_000, ping_interval=30.0, ping_timeout=20.0)
    client = await server.raw(receive_buffer=4096, limit=1024)
    client.writer.transport.pause_reading()
    (peer,) = server.peers
    for _ in range(90):
        peer.send(b"x" * 100_000)
        await asyncio.sleep(0)
    assert peer._stream.get_write_buffer_size()
    client.write(frame(b"x", 3))
    await eventually(lambda: peer._transport.is_close_frame_sent)
    for _ in range(4):
        await clock.advance(25)
    await eventually(lambda: bool(server.receiver.ended))
    assert server.receiver.ended == server.registry.removed == [peer]
