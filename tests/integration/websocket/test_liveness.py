"""Dead, silent and idle connections, over real sockets and with time that the test moves."""

from __future__ import annotations

import asyncio

import pytest

TEXT, PING, PONG = 1, 9, 10


class Clock:
    """Time that passes only when the test says so."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleeping: list[tuple[float, asyncio.Future]] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.time + seconds, future))
        await future

    async def pass_by(self, seconds: float) -> None:
        """Moves on in steps of a second; whoever's time has come runs, in that second."""
        for _ in range(round(seconds)):
            self.time += 1
            due = [future for at, future in self._sleeping if at <= self.time and not future.done()]
            self._sleeping = [(at, future) for at, future in self._sleeping if at > self.time]
            for future in due:
                future.set_result(None)
            for _ in range(3):
                await asyncio.sleep(0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def greet(serve, raw, clock):
    """A client and its peer, after one message and its answer."""

    async def greet(**settings):
        served = await serve(clock=clock, **{"ping_interval": 8.0, "ping_timeout": 8.0, **settings})
        client = await raw.open(served)
        client.write(raw.frame(TEXT, b"hello"))
        await client.frame()
        [peer] = served.receiver.peers
        return served, client, peer

    return greet


async def test_a_silent_connection_is_pinged_once_and_cut_when_no_answer_comes(greet, clock):
    served, client, peer = await greet()
    await clock.pass_by(18)
    assert await client.frame() == (PING, b"")
    assert served.peers == {peer}
    await clock.pass_by(8)
    assert await served.ended() is peer
    assert await client.rest() == b""


async def test_an_answer_to_the_ping_keeps_the_connection(greet, clock, raw):
    served, client, peer = await greet()
    for round_ in range(5):
        await clock.pass_by(14)
        assert await client.frame() == (PING, b"")
        client.write(raw.frame(PONG), raw.frame(TEXT, b"%d" % round_))
        # The answer to a message shows that the pong before it was read.
        assert await client.frame() == (TEXT, b"%d" % round_)
    assert served.peers == {peer}


async def test_a_connection_that_talks_is_not_pinged(greet, clock, raw):
    _, client, _ = await greet()
    for _ in range(20):
        await clock.pass_by(4)
        client.write(raw.frame(TEXT, b"x"))
        assert await client.frame() == (TEXT, b"x")


async def test_a_large_message_over_a_slow_line_is_a_sign_of_life(greet, clock, raw):
    served, client, peer = await greet()
    whole = raw.frame(TEXT, b"x" * 40)
    seen = 0
    for start in range(len(whole)):
        client.write(whole[start : start + 1])
        # Not one frame is whole, so nothing but the library's buffer shows that the byte has come.
        async with asyncio.timeout(90):
            while (room := len(peer._stream.get_protocol().get_buffer(-1))) == seen:
                await asyncio.sleep(0)
        seen = room
        await clock.pass_by(4)
    assert await client.frame() == (TEXT, b"x" * 40)
    assert served.peers == {peer}


async def test_a_slow_reader_that_takes_a_little_lives_and_one_that_takes_nothing_is_cut(greet, clock):
    served, client, peer = await greet(max_buffered=256 * 1024)
    client.writer.transport.pause_reading()
    while not peer._paused:
        peer.send(b"x" * 8192)
        await asyncio.sleep(0)
    for _ in range(10):
        await clock.pass_by(8)
        waiting = peer._stream.get_write_buffer_size()
        client.writer.transport.resume_reading()
        async with asyncio.timeout(90):
            while peer._stream.get_write_buffer_size() >= waiting > 0:
                await client.reader.read(65536)
        client.writer.transport.pause_reading()
        if peer._stream.get_write_buffer_size() == 0:
            break
    assert served.peers == {peer}
    while not peer._paused:
        peer.send(b"x" * 8192)
        await asyncio.sleep(0)
    await clock.pass_by(30)
    assert await served.ended() is peer


async def test_a_connection_that_sends_no_message_for_too_long_is_told_that_it_is_idle(greet, clock, raw):
    served, client, peer = await greet(idle_timeout=40.0)
    for _ in range(5):
        await clock.pass_by(6)
        client.write(raw.frame(PING))
        assert await client.frame() == (PONG, b"")
    assert served.peers == {peer}
    await clock.pass_by(20)
    assert await client.close_code() == 1001


async def test_a_connection_whose_request_is_running_is_not_idle(greet, clock, raw):
    served, client, peer = await greet(idle_timeout=10.0)
    peer.running = 1
    for _ in range(10):
        await clock.pass_by(6)
        client.write(raw.frame(PING))
        assert await client.frame() == (PONG, b"")
    peer.running = 0
    await clock.pass_by(14)
    assert await client.close_code() == 1001
    assert len(served.registry) == 0


async def test_intervals_of_zero_turn_their_part_off(greet, clock):
    served, _, peer = await greet(ping_interval=0.0, ping_timeout=0.0)
    assert served.transport._heartbeat.done()
    await clock.pass_by(1000)
    assert served.peers == {peer}


async def test_a_ping_that_nobody_waits_for_cuts_nobody(greet, clock):
    served, client, peer = await greet(ping_timeout=0.0)
    await clock.pass_by(1000)
    assert await client.frame() == (PING, b"")
    assert served.peers == {peer}
