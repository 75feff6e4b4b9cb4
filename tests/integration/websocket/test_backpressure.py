"""What leaves: one write per turn, nothing lost, and no more waiting than was allowed."""

from __future__ import annotations

import asyncio
import socket

import pytest

TEXT, CLOSE, PING = 1, 8, 9
KIB = 1024


@pytest.fixture
def greet(serve, raw):
    """A client and its peer, after one message and its answer."""

    async def greet(receive_buffer=None, **settings):
        served = await serve(**settings)
        client = await raw.open(served, receive_buffer=receive_buffer)
        client.write(raw.frame(TEXT, b"hello"))
        await client.frame()
        [peer] = served.receiver.peers
        return served, client, peer

    return greet


def count_writes(peer) -> list[bytes]:
    writes: list[bytes] = []
    write = peer._write

    def counted(data: bytes) -> None:
        writes.append(data)
        write(data)

    peer._write = counted
    return writes


async def test_the_answers_of_one_turn_leave_in_one_write_per_connection(serve, raw):
    served = await serve()
    clients = [await raw.open(served) for _ in range(3)]
    for client in clients:
        client.write(raw.frame(TEXT, b"hello"))
        await client.frame()
    writes = [count_writes(peer) for peer in served.receiver.peers]
    for peer in served.receiver.peers:
        for number in range(16):
            peer.send(b"%d" % number)
    for client in clients:
        assert [(await client.frame())[1] for _ in range(16)] == [b"%d" % number for number in range(16)]
    # The first message of a quiet time goes at once, before anybody can know that more will follow.
    assert [len(each) for each in writes] == [2, 1, 1]


async def test_a_lone_answer_leaves_at_once(greet):
    _, client, peer = await greet()
    writes = count_writes(peer)
    await asyncio.sleep(0)
    peer.send(b"now")
    assert len(writes) == 1
    assert await client.frame() == (TEXT, b"now")


async def test_what_one_turn_queues_is_handed_on_in_pieces(greet):
    _, client, peer = await greet()
    writes = count_writes(peer)
    for _ in range(40):
        peer.send(b"x" * 10 * KIB)
    # The first piece went at once; the others before the turn is over, each below two messages more than the chunk.
    assert len(writes) > 5
    assert max(map(len, writes)) < 85 * KIB
    assert [len((await client.frame())[1]) for _ in range(40)] == [10 * KIB] * 40


async def stuck(greet, max_buffered: int):
    """A client that reads nothing, and its peer, with more waiting than may."""
    served, client, peer = await greet(max_buffered=max_buffered, receive_buffer=8192)
    client.writer.transport.pause_reading()
    peer._stream.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sent = 0
    while not peer._paused:
        peer.send(b"%06d" % sent + b"x" * 8 * KIB)
        sent += 1
        await asyncio.sleep(0)
    return served, client, peer, sent


async def drained(client, until: bytes) -> list[bytes]:
    client.writer.transport.resume_reading()
    messages: list[bytes] = []
    while not messages or messages[-1] != until:
        kind, payload = await client.frame()
        if kind != PING:
            messages.append(payload)
    return messages


async def test_nothing_is_read_from_a_client_that_does_not_read_and_nothing_is_lost(greet, raw):
    served, client, peer, sent = await stuck(greet, 512 * KIB)
    client.write(raw.frame(TEXT, b"a request in between"))
    while peer._stream.is_reading():
        await asyncio.sleep(0.001)
    peer.send(b"the last")
    messages = await drained(client, b"a request in between")
    assert [int(message[:6]) for message in messages[:-2]] == list(range(sent))
    assert messages[-2:] == [b"the last", b"a request in between"]
    assert served.receiver.messages == [b"hello", b"a request in between"]


async def test_of_progress_a_slow_client_gets_the_newest_of_each_name(greet):
    _, client, peer, sent = await stuck(greet, 512 * KIB)
    for number in range(1000):
        peer.send_latest("one", b"one %d" % number)
        peer.send_latest("two", b"two %d" % number)
        peer.send_latest("three", b"three %d" % number)
    peer.send_latest("two", b"two is over", True)
    peer.send_latest("four", b"four never had progress", True)
    messages = await drained(client, b"three 999")
    assert messages[sent:] == [b"two is over", b"four never had progress", b"one 999", b"three 999"]


async def test_of_progress_a_quick_client_gets_everything(greet):
    _, client, peer = await greet()
    for number in range(3):
        peer.send_latest("one", b"%d" % number)
    peer.send_latest("one", b"end", True)
    assert [(await client.frame())[1] for _ in range(4)] == [b"0", b"1", b"2", b"end"]


async def test_a_client_that_never_reads_is_cut_off_and_what_waited_is_freed(greet):
    served, _, peer, _ = await stuck(greet, 128 * KIB)
    peer.send_latest("one", b"x")
    sent = 0
    while not peer.closed:
        peer.send(b"y" * 8 * KIB)
        sent += 8 * KIB
        await asyncio.sleep(0)
    assert sent < 5 * 128 * KIB
    [(level, event, fields)] = served.log.lines
    assert (level, event, fields["connection_id"]) == ("warning", "slow consumer cut off", peer.id)
    assert fields["buffered"] > 4 * 128 * KIB
    assert len(served.registry) == 0
    # It gets no answer to its close frame, so the connection is cut; the client sees a reset or an early end.
    assert await served.ended() is peer
    assert (peer._queued, peer._latest) == ([], None)
    assert served.transport._shared.lingering == set()


async def test_one_turn_cannot_go_around_the_bound(greet):
    _, _, peer, _ = await stuck(greet, 128 * KIB)
    for _ in range(1000):
        peer.send(b"y" * 8 * KIB)
    assert peer.closed
    assert peer._stream.get_write_buffer_size() < 5 * 128 * KIB


async def test_a_slow_consumer_that_reads_after_all_learns_why(greet, raw):
    served, client, peer, _ = await stuck(greet, 128 * KIB)
    while not peer.closed:
        peer.send(b"y" * 8 * KIB)
    client.writer.transport.resume_reading()
    assert await client.close_code() == 3008
    client.write(raw.frame(CLOSE, (3008).to_bytes(2)))
    assert await client.rest() == b""
    assert await served.ended() is peer


async def test_one_slow_client_does_not_hold_up_another(greet, raw):
    served, _, _, _ = await stuck(greet, 128 * KIB)
    other = await raw.open(served)
    other.write(raw.frame(TEXT, b"hello"))
    assert await other.frame() == (TEXT, b"hello")


async def test_a_close_waits_behind_what_a_slow_client_has_yet_to_read(greet, raw):
    served, client, peer, sent = await stuck(greet, 512 * KIB)
    peer.send_latest("one", b"dropped")
    peer.close(1008, "enough")
    client.writer.transport.resume_reading()
    for _ in range(sent):
        assert (await client.frame())[0] == TEXT
    assert await client.frame() == (CLOSE, (1008).to_bytes(2) + b"enough")
    # The answer is heard, although nothing was read from this client before.
    client.write(raw.frame(CLOSE, (1008).to_bytes(2)))
    assert await client.rest() == b""
    assert await served.ended() is peer
    assert not peer._cut


async def test_a_client_that_does_not_answer_a_close_is_cut(greet):
    served, client, peer = await greet()
    peer.close(1008, "enough")
    assert await client.close_code() == 1008
    assert await served.ended() is peer
    assert await client.rest() == b""


async def test_what_was_queued_when_the_connection_broke_is_dropped(greet, raw):
    served, client, peer = await greet()
    other = await raw.open(served)
    other.write(raw.frame(TEXT, b"hello"))
    await other.frame()
    client.writer.transport.abort()
    await served.ended()
    peer.send(b"into the void")
    peer.flush()
    assert peer._queued == []
