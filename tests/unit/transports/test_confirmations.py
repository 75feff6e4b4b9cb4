"""A client has taken a final message when it has answered a ping that was sent after it, and not before."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import ConnectionGone
from streamer.transports.confirmations import MOST, Confirmations
from streamer.transports.ping_pace import PingPace

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


async def next_ping(client) -> bytes:
    kind, payload = await client.frame()
    assert kind == PING
    return payload


async def test_the_pong_to_the_ping_behind_it_confirms_an_outcome(serve, frame, eventually):
    server = await serve()
    client = await server.raw()
    server.peers[0].send_latest("r1", b"done", True)
    assert await client.frame() == (TEXT, b"done")
    payload = await next_ping(client)
    assert server.receiver.taken == []
    client.write(frame(payload, PONG))
    await eventually(lambda: server.receiver.taken == ["r1"])
    assert server.peers[0]._confirmations is None


async def test_outcomes_of_one_turn_share_one_ping(serve, frame, eventually):
    server = await serve()
    client = await server.raw()
    (peer,) = server.peers
    await asyncio.sleep(0)
    peer.send(b"first of the turn")
    for number in range(5):
        peer.send_latest(f"r{number}", b"%d" % number, True)
    kinds = [await client.frame() for _ in range(7)]
    assert [kind for kind, _ in kinds] == [TEXT] * 6 + [PING]
    client.write(frame(kinds[-1][1], PONG))
    await eventually(lambda: server.receiver.taken == [f"r{number}" for number in range(5)])


class TestPace:
    """A connection that gets one outcome after the other is not asked after each."""

    @pytest.fixture
    def turns(self, monkeypatch):
        """Ends the pause when the test says so."""
        ends = []
        monkeypatch.setattr(PingPace, "_begin_pause", lambda pace: ends.append(pace._end))
        return ends

    async def test_an_outcome_soon_after_another_is_asked_after_when_the_pause_ends(
        self, serve, frame, eventually, turns
    ):
        server = await serve()
        client = await server.raw()
        (peer,) = server.peers
        peer.send_latest("r1", b"one", True)
        await client.text()
        await next_ping(client)
        for number in range(2, 5):
            peer.send_latest(f"r{number}", b"more", True)
            assert await client.text() == b"more"
        turns.pop()()
        client.write(frame(await next_ping(client), PONG))
        await eventually(lambda: server.receiver.taken == ["r1", "r2", "r3", "r4"])
        # It was asked, so another pause has begun; when nothing came in it, the connection is left alone.
        turns.pop()()
        assert turns == []

    async def test_what_is_queued_when_the_pause_ends_is_asked_after_too(self, serve, turns):
        server = await serve()
        client = await server.raw()
        (peer,) = server.peers
        peer.send_latest("r1", b"one", True)
        await client.text()
        await next_ping(client)
        peer.send_latest("r2", b"two", True)
        await client.text()
        await asyncio.sleep(0)
        peer._shared.begin(peer)  # the turn has written already, so what comes now is queued
        peer.send(b"queued")
        turns.pop()()
        assert await client.text() == b"queued"
        await next_ping(client)
        assert len(turns) == 1

    async def test_much_is_asked_after_at_once(self, serve, turns):
        server = await serve()
        client = await server.raw()
        (peer,) = server.peers
        for number in range(3):
            peer.send_latest(f"r{number}", b"x" * 70_000, True)
            await client.text()
            await next_ping(client)
        assert turns == []

    async def test_the_end_of_a_connection_is_not_waited_for_by_what_must_be_asked(
        self, serve, frame, eventually, turns
    ):
        server = await serve()
        client = await server.raw()
        (peer,) = server.peers
        for number in range(2):
            peer.send_latest(f"r{number}", b"done", True)
        peer.close(3001, "shutdown")
        kinds = [await client.frame() for _ in range(5)]
        assert [kind for kind, _ in kinds] == [TEXT, PING, TEXT, PING, CLOSE]
        turns.pop()()
        client.write(frame(kinds[3][1], PONG) + frame((3001).to_bytes(2), CLOSE))
        await eventually(lambda: bool(server.receiver.ended))
        assert server.receiver.taken == ["r0", "r1"]

    async def test_the_heartbeat_asks_after_it_too(self, serve, frame, eventually, turns):
        server = await serve()
        client = await server.raw()
        (peer,) = server.peers
        for number in range(2):
            peer.send_latest(f"r{number}", b"done", True)
        peer.ping()
        kinds = [await client.frame() for _ in range(4)]
        assert [kind for kind, _ in kinds] == [TEXT, PING, TEXT, PING]
        client.write(frame(kinds[3][1], PONG))
        await eventually(lambda: server.receiver.taken == ["r0", "r1"])
        assert len(turns) == 1


@pytest.mark.parametrize("payload", [b"", b"mine", b"streamer" + bytes(8), b"streamer" + b"\xff" * 7])
async def test_another_pong_or_message_confirms_nothing(serve, frame, eventually, payload):
    server = await serve()
    client = await server.raw()
    server.peers[0].send_latest("r1", b"done", True)
    client.write(frame(payload, PONG) + frame(b"a message of its own, perhaps from before"))
    await eventually(lambda: len(server.receiver.frames) == 1)
    assert server.receiver.taken == []


async def test_a_pong_confirms_no_outcome_that_was_sent_after_its_ping(serve, frame, eventually):
    server = await serve()
    client = await server.raw()
    (peer,) = server.peers
    peer.send_latest("r1", b"one", True)
    await client.text()
    payload = await next_ping(client)
    peer.send_latest("r2", b"two", True)
    client.write(frame(payload, PONG))
    await eventually(lambda: bool(server.receiver.taken))
    assert server.receiver.taken == ["r1"]
    await client.text()
    client.write(frame(await next_ping(client), PONG))
    await eventually(lambda: server.receiver.taken == ["r1", "r2"])


async def test_the_answer_to_a_later_ping_of_the_heartbeat_is_enough(serve, frame, eventually):
    server = await serve()
    client = await server.raw()
    (peer,) = server.peers
    peer.send_latest("r1", b"one", True)
    await client.text()
    await next_ping(client)
    peer.ping()
    # RFC 6455, section 5.5.3: a client may answer only the newest of several pings.
    client.write(frame(await next_ping(client), PONG))
    await eventually(lambda: server.receiver.taken == ["r1"])
    peer.ping()
    assert await next_ping(client) == b""


async def test_what_lies_in_our_own_buffer_is_not_confirmed_by_anything(serve, frame, eventually):
    server = await serve(max_buffered=64 * 1024)
    client = await server.raw(receive_buffer=4096, limit=1024)
    client.writer.transport.pause_reading()
    (peer,) = server.peers
    peer.send_latest("r1", b"x" * 8_000_000, True)
    client.cut()
    await eventually(lambda: bool(server.receiver.ended))
    assert server.receiver.taken == []


async def test_a_pong_that_comes_while_the_connection_is_being_closed_counts(serve, frame, eventually):
    server = await serve()
    client = await server.raw()
    (peer,) = server.peers
    peer.send_latest("r1", b"done", True)
    peer.close(3001, "shutdown")
    await client.text()
    payload = await next_ping(client)
    assert (await client.frame())[0] == CLOSE
    client.write(frame(payload, PONG) + frame((3001).to_bytes(2), CLOSE))
    await eventually(lambda: bool(server.receiver.ended))
    assert server.receiver.taken == ["r1"]


async def test_an_ordinary_client_confirms_without_doing_anything_for_it(serve, eventually):
    server = await serve()
    client = await server.connect()
    server.peers[0].send_latest("r1", b"done", True)
    assert await client.recv() == "done"
    await eventually(lambda: server.receiver.taken == ["r1"])


async def test_whoever_fails_to_note_a_confirmation_ends_that_connection_alone(serve, frame, eventually):
    server = await serve()
    client = await server.raw()

    def broken(_peer, _names):
        raise RuntimeError("broken")

    server.receiver.confirmed = broken
    server.peers[0].send_latest("r1", b"done", True)
    await client.text()
    client.write(frame(await next_ping(client), PONG))
    assert (await client.frame())[0] == CLOSE


def test_of_a_client_that_never_answers_only_so_much_is_remembered():
    confirmations = Confirmations()
    for number in range(MOST + 10):
        confirmations.expect(f"r{number}", 1)
    ping = confirmations.ping_frame()
    names = confirmations.answered(ping[2:])
    assert (len(names), names[0]) == (MOST, "r10")
    assert not confirmations


def test_nothing_answers_a_ping_that_has_not_been_sent():
    confirmations = Confirmations()
    confirmations.expect("r1", 1)
    ahead = confirmations.newest_payload()
    assert confirmations.answered(ahead) == []
    assert confirmations.answered(confirmations.ping_frame()[2:]) == ["r1"]


def test_a_payload_that_no_ping_had_answers_nothing():
    confirmations = Confirmations()
    confirmations.expect("r1", 1)
    sent = confirmations.ping_frame()[2:]
    ahead = int.from_bytes(sent[8:]) + 1
    assert confirmations.answered(sent[:8] + ahead.to_bytes(8)) == []
    assert confirmations.answered(b"streamer" + sent[8:]) == []
    assert confirmations.answered(sent) == ["r1"]


class TestRoom:
    """An outcome that can wait is sent when the client has taken what was sent before."""

    async def test_a_client_that_is_not_behind_has_room(self, serve):
        server = await serve()
        await server.raw()
        assert server.peers[0].room() is None
        assert server.registry.room(server.peers[0].id) is None

    async def test_there_is_room_again_when_the_client_has_confirmed_what_was_sent(self, serve, frame):
        server = await serve(max_buffered=64 * 1024)
        client = await server.raw()
        (peer,) = server.peers
        peer.send_latest("r1", b"x" * 20_000, True)
        room = peer.room()
        assert peer.room() is room
        await client.text()
        client.write(frame(await next_ping(client), PONG))
        await room
        assert peer.room() is None

    async def test_the_pong_is_seen_though_more_waits_than_may(self, serve, frame, eventually):
        server = await serve(max_buffered=64 * 1024)
        client = await server.raw(receive_buffer=4096, limit=1024)
        (peer,) = server.peers
        peer.send_latest("r1", b"first", True)
        payload = (await client.text(), await next_ping(client))[1]
        client.writer.transport.pause_reading()
        peer.send_latest("r2", b"x" * 8_000_000, True)
        await eventually(lambda: peer._paused)
        client.write(frame(payload, PONG))
        await eventually(lambda: server.receiver.taken == ["r1"])
        assert peer.room() is not None

    async def test_a_client_that_answers_no_ping_has_room_when_it_has_taken_everything(self, serve, frame, eventually):
        server = await serve(max_buffered=64 * 1024)
        client = await server.raw()
        (peer,) = server.peers
        peer.send_latest("r1", b"x" * 20_000, True)
        await client.text()
        payload = await next_ping(client)
        await peer.room()
        assert (peer.room(), server.receiver.taken) == (None, [])
        peer.send_latest("r2", b"x" * 20_000, True)
        assert peer.room() is not None
        # It may answer after all.
        client.write(frame(payload, PONG))
        await eventually(lambda: server.receiver.taken == ["r1"])

    async def test_a_client_that_takes_nothing_has_no_room_until_it_does(self, serve, monkeypatch):
        monkeypatch.setattr("streamer.transports.sender.CONFIRM_CHECK", 0.01)
        server = await serve(max_buffered=64 * 1024)
        client = await server.raw(receive_buffer=4096, limit=1024)
        client.writer.transport.pause_reading()
        (peer,) = server.peers
        peer.send_latest("r1", b"x" * 8_000_000, True)
        room = peer.room()
        await asyncio.sleep(0.1)
        assert not room.done()
        client.writer.transport.resume_reading()
        await client.text()
        await room

    async def test_the_end_of_the_connection_ends_the_waiting(self, serve):
        server = await serve(max_buffered=64 * 1024)
        client = await server.raw(receive_buffer=4096, limit=1024)
        client.writer.transport.pause_reading()
        (peer,) = server.peers
        peer.send_latest("r1", b"x" * 8_000_000, True)
        room = peer.room()
        client.cut()
        await room
        with pytest.raises(ConnectionGone):
            server.registry.room(peer.id)
        peer.send_latest("r2", b"dropped", True)
        assert peer.room() is None


class TestBehind:
    async def test_requests_wait_until_the_client_has_read_and_a_close_drops_them(self, serve, frame, eventually):
        server = await serve(max_buffered=64 * 1024)
        server.receiver.answer = lambda peer, message: peer.send(b"y" * 8_000_000)
        client = await server.raw(receive_buffer=4096, limit=1024)
        (peer,) = server.peers
        client.write(frame(b"1") + frame(b"2") + frame(b"3"))
        # The answer to each is more than may wait: the next is answered when it was read.
        for number in range(1, 3):
            await eventually(lambda number=number: len(server.receiver.frames) == number)
            assert len(await client.text()) == 8_000_000
        await eventually(lambda: peer._paused and len(server.receiver.frames) == 3)
        client.write(frame(b"4"))
        await eventually(lambda: peer._deferred is not None)
        peer.close(3001, "shutdown")
        assert peer._deferred is None
        assert len(await client.text()) == 8_000_000
        assert await client.frame() == (CLOSE, (3001).to_bytes(2) + b"shutdown")
        client.write(frame((3001).to_bytes(2), CLOSE))
        await eventually(lambda: bool(server.receiver.ended))
        assert server.receiver.frames == [b"1", b"2", b"3"]

    async def test_the_newest_ping_is_answered_when_the_client_reads_again(self, serve, frame, eventually):
        server = await serve(max_buffered=64 * 1024)
        client = await server.raw(receive_buffer=4096, limit=1024)
        client.writer.transport.pause_reading()
        (peer,) = server.peers
        peer.send(b"x" * 8_000_000)
        await eventually(lambda: peer._paused)
        client.write(frame(b"one", PING) + frame(b"two", PING))
        await eventually(lambda: peer._pong_due == b"two")
        client.writer.transport.resume_reading()
        await client.text()
        assert await client.frame() == (PONG, b"two")

    async def test_one_message_is_never_too_large_and_several_are(self, serve, eventually):
        server = await serve(max_buffered=64 * 1024)
        client = await server.raw(receive_buffer=4096, limit=1024)
        client.writer.transport.pause_reading()
        (peer,) = server.peers
        peer.send(b"x" * 8_000_000)
        await eventually(lambda: peer._paused)
        peer.send_latest("progress", b"small")
        peer.send(b"small")
        assert not peer.closed
        peer.send(b"x" * 8_000_000)
        assert peer.closed
        assert [event for _, event, _ in server.log.lines] == ["slow consumer cut off"]

    async def test_a_client_without_a_sign_of_life_learns_why_if_it_reads_again(self, serve, eventually):
        server = await serve(max_buffered=64 * 1024)
        client = await server.raw(receive_buffer=4096, limit=1024)
        client.writer.transport.pause_reading()
        (peer,) = server.peers
        peer.send(b"x" * 8_000_000)
        await eventually(lambda: peer._paused)
        assert peer.waits()
        peer.give_up()
        peer.give_up()
        client.writer.transport.resume_reading()
        await client.text()
        assert await client.close_code() == 3008
        assert len(server.log.lines) == 1
