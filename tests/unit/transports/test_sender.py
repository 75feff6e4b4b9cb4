"""The order of what leaves, and the end of those who do not read."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class RecordingStream:
    """Counts writes on their way to the real transport; everything else is the real one's.

    Its limits: a connection keeps the bound `write` of its stream, so the double takes the place of that one method
    and of nothing else, and what the library writes itself (pongs, close frames) goes past it.
    """

    def __init__(self, peer) -> None:
        self.writes: list[bytes] = []
        self._write = peer._write
        peer._write = self

    def __call__(self, data: bytes) -> None:
        self.writes.append(bytes(data))
        self._write(data)


async def test_messages_are_never_reordered_whatever_is_mixed(serve, frame, seed):
    random_ = random.Random(seed)
    server = await serve()
    clients = [await server.raw() for _ in range(3)]
    sent: list[list[bytes]] = [[] for _ in clients]
    for number in range(600):
        place = random_.randrange(len(clients))
        peer = server.peers[place]
        message = b"%d " % number + b"x" * random_.choice([0, 10, 200, 30_000])
        match random_.randrange(8):
            case 0:
                await asyncio.sleep(0)
            case 1:
                peer.flush()
            case 2:
                peer.ping()
            case 3:
                # Answered by the connection itself, in the middle of what it sends.
                clients[place].write(frame(b"?", PING))
            case 4:
                peer.send_latest("name", message)
                sent[place].append(message)
            case 5:
                peer.send_latest("name", message, True)
                sent[place].append(message)
            case _:
                peer.send(message)
                sent[place].append(message)
    for place, (client, peer) in enumerate(zip(clients, server.peers, strict=True)):
        peer.close(3500, "over")
        received = []
        while (next_frame := await client.frame())[0] != CLOSE:
            if next_frame[0] == TEXT:
                received.append(next_frame[1])
        assert received == sent[place]


async def test_a_direct_write_comes_before_what_is_queued_in_its_turn(serve):
    server = await serve()
    client = await server.raw()
    (peer,) = server.peers
    stream = RecordingStream(peer)
    await asyncio.sleep(0)
    for message in (b"1", b"2", b"3"):
        peer.send(message)
    assert stream.writes == [b"\x81\x011"]
    assert [await client.text() for _ in range(3)] == [b"1", b"2", b"3"]
    assert stream.writes == [b"\x81\x011", b"\x81\x012\x81\x013"]


async def test_after_a_busy_turn_messages_wait_for_the_end_of_theirs_and_later_leave_at_once_again(serve):
    server = await serve()
    clients = [await server.raw() for _ in range(2)]
    first, second = server.peers
    stream = RecordingStream(first)
    for _ in range(2):
        await asyncio.sleep(0)
    first.send(b"1")
    second.send(b"1")
    second.send(b"2")
    await asyncio.sleep(0)
    first.send(b"2")
    second.send(b"3")
    assert stream.writes == [b"\x81\x011"]
    # One turn that wrote to nobody makes the time quiet again.
    for _ in range(3):
        await asyncio.sleep(0)
    first.send(b"3")
    await asyncio.sleep(0)
    first.send(b"4")
    assert stream.writes[-1] == b"\x81\x014"
    assert [await clients[0].text() for _ in range(4)] == [b"1", b"2", b"3", b"4"]
    assert [await clients[1].text() for _ in range(3)] == [b"1", b"2", b"3"]


async def stalled(server):
    """A client that does not read, and its peer, paused."""
    client = await server.raw(receive_buffer=4096, limit=1024)
    client.writer.transport.pause_reading()
    peer = server.peers[-1]
    sent = []
    # Bounded, as everything here that fills a buffer: a mistake in the code must fail a test, not eat the machine.
    while not peer._paused and len(sent) < 2000:
        sent.append(b"%d " % len(sent) + b"x" * 20_000)
        peer.send(sent[-1])
        await asyncio.sleep(0)
    assert peer._paused
    return client, peer, sent


async def let_arrive(server):
    """Returns when the loop has certainly read what others had sent before: it has read and answered a later client."""
    other = await server.connect()
    for _ in range(3):
        await (await other.ping())
    await other.close()


async def test_others_get_their_answers_while_one_is_stalled(serve):
    server = await serve(max_buffered=64 * 1024)
    server.receiver.answer = lambda peer, message: peer.send(message)
    _, peer, _ = await stalled(server)
    other = await server.connect()
    for number in range(100):
        await other.send(str(number))
        assert await other.recv() == str(number)
    assert peer._paused


async def test_a_stalled_client_gets_everything_in_order_once_it_reads(serve, frame, eventually):
    server = await serve(max_buffered=256 * 1024)
    client, peer, sent = await stalled(server)
    client.write(frame(b"not read yet"))
    for number in range(100):
        peer.send_latest("req_1", b"progress %d" % number)
        peer.send_latest("req_2", b"other %d" % number)
    peer.send_latest("req_1", b"done", True)
    await let_arrive(server)
    assert server.receiver.frames == []
    client.writer.transport.resume_reading()
    received = [await client.text() for _ in range(len(sent) + 2)]
    assert received == [*sent, b"done", b"other 99"]
    await eventually(lambda: server.receiver.frames == [b"not read yet"])


async def test_a_client_that_reads_neither_answers_nor_close_is_cut_and_forgotten(serve, eventually):
    server = await serve(max_buffered=64 * 1024)
    _, peer, _ = await stalled(server)
    peer.send_latest("req_1", b"progress")
    more = 0
    while not peer.closed and more < 100:
        peer.send(b"y" * 20_000)
        more += 1
    # Four times `max_buffered`, of which one part waited before; and what one turn may queue beyond it.
    assert peer.closed
    assert more * 20_000 < (4 + 1) * 64 * 1024
    assert not await server.registry.is_active(peer.id)
    peer.send(b"silently dropped")
    await eventually(lambda: bool(server.receiver.ended))
    assert server.receiver.ended == server.registry.removed == [peer]
    assert (peer._queued, peer._latest) == ([], None)
    assert peer not in server.transport._shared.peers
    assert [(level, more["connection_id"]) for level, _, more in server.log.lines] == [("warning", peer.id)]


async def test_close_of_the_transport_ends_though_a_client_is_stalled(serve):
    server = await serve(max_buffered=64 * 1024)
    _, peer, _ = await stalled(server)
    await server.transport.close()
    assert server.receiver.ended == server.registry.removed == [peer]


async def test_what_the_router_sends_while_it_closes_a_connection_is_in_order(serve, frame, eventually):
    server = await serve()

    def answer(peer, message):
        peer.send(json.dumps({"answer": 1}).encode())
        peer.send(json.dumps({"answer": 2}).encode())
        peer.close(1008, "policy")
        peer.send(b"dropped")

    server.receiver.answer = answer
    client = await server.raw()
    client.write(frame(b"request") + frame(b"after the close"))
    assert [json.loads(await client.text())["answer"] for _ in range(2)] == [1, 2]
    assert await client.frame() == (CLOSE, (1008).to_bytes(2) + b"policy")
    client.write(frame((1008).to_bytes(2), CLOSE))
    await eventually(lambda: bool(server.receiver.ended))
    assert server.receiver.frames == [b"request"]


@pytest.mark.parametrize("text", ["é" * 200, "x" * 122 + "é", "x" * 123])
async def test_a_long_reason_is_cut_to_what_a_close_frame_holds(serve, text):
    server = await serve()
    client = await server.raw()
    server.peers[0].close(3500, text)
    _, payload = await client.frame()
    assert len(payload) in (124, 125)
    assert text.startswith(payload[2:].decode())


async def test_what_is_held_back_for_a_slow_client_counts_and_a_newer_one_in_its_place_does_not(serve):
    server = await serve(max_buffered=64 * 1024)
    _, peer, _ = await stalled(server)
    for _ in range(1000):
        peer.send_latest("one", b"x" * 10_000)
    assert not peer.closed
    assert peer._held == 10_000
    peer.send_latest("one", b"over", True)
    assert peer._held == 0
    names = 0
    while not peer.closed:
        peer.send_latest(f"{names}", b"x" * 10_000)
        names += 1
    assert names <= 4 * 64 // 10 + 1
    assert (peer._latest, server.log.lines[0][1]) == (None, "slow consumer cut off")
    # Nothing is held for a connection that is closing.
    peer.send_latest("late", b"x" * 10_000)
    assert peer._latest is None
