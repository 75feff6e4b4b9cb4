"""What the library does between the socket and a connection, held still: a change of it must be noticed."""

from __future__ import annotations

import contextlib

import pytest
from websockets.exceptions import ConnectionClosed

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

REFUSED_BY_THE_LIBRARY = [
    ({"opcode": 3}, 1002),
    ({"opcode": PING, "fin": False}, 1002),
    ({"mask": False}, 1002),
    ({"size": 10**6}, 1009),
]
IDS = ["reserved opcode", "fragmented ping", "no mask", "too large"]


@pytest.mark.parametrize(("broken", "code"), REFUSED_BY_THE_LIBRARY, ids=IDS)
async def test_the_last_message_before_a_frame_that_the_library_refuses_is_lost_when_they_come_in_one_piece(
    serve, frame, broken, code, eventually
):
    # The library looks at a frame before it hands on the one before it, and when it refuses what it sees, it has sent
    # its close frame already. Nobody was told that the message had arrived, so nobody is misled.
    server = await serve()
    for good in ([b"1"], [b"1", b"2"], [b"1", b"2", b"3"]):
        server.receiver.frames.clear()
        ended = len(server.receiver.ended)
        client = await server.raw()
        client.write(b"".join(map(frame, good)) + frame(b"x", **broken))
        assert await client.close_code() == code
        client.cut()
        await eventually(lambda before=ended: len(server.receiver.ended) > before)
        assert server.receiver.frames == good[:-1]


@pytest.mark.parametrize(("broken", "code"), REFUSED_BY_THE_LIBRARY, ids=IDS)
async def test_a_message_that_came_before_is_answered_before_the_close(serve, frame, broken, code, eventually):
    server = await serve()
    server.receiver.answer = lambda peer, message: peer.send(message)
    client = await server.raw()
    client.write(frame(b"1"))
    assert await client.text() == b"1"
    client.write(frame(b"x", **broken))
    assert await client.close_code() == code
    client.cut()
    await eventually(lambda: bool(server.receiver.ended))
    assert server.receiver.frames == [b"1"]
    assert server.receiver.ended == server.registry.removed == server.peers


async def test_what_is_sent_after_the_library_closed_a_connection_does_not_reach_it(serve, frame, eventually):
    server = await serve()
    client = await server.raw()
    (peer,) = server.peers
    client.write(frame(b"x", 3))
    await eventually(lambda: peer._transport.is_close_frame_sent)
    peer.send(b"too late")
    peer.send(b"too late as well")
    assert await client.close_code() == 1002
    await client.ended()


async def test_a_message_before_one_that_is_refused_here_is_handed_on(serve, frame, eventually):
    server = await serve()
    client = await server.raw()
    client.write(frame(b"1") + frame(b"2") + frame(b"x", BINARY) + frame(b"3"))
    assert await client.close_code() == 1003
    client.cut()
    await eventually(lambda: bool(server.receiver.ended))
    assert server.receiver.frames == [b"1", b"2"]


@pytest.mark.parametrize("cuts", [1, 3, 7])
async def test_frames_may_come_in_any_pieces(serve, frame, cuts, eventually):
    server = await serve()
    client = await server.raw()
    messages = [b"", b"x", "é".encode() * 70, b"y" * 3000]
    stream = b"".join(frame(message) for message in messages) + frame(b"ping", PING)
    for start in range(0, len(stream), cuts):
        client.write(stream[start : start + cuts])
        await client.writer.drain()
    assert await client.frame() == (PONG, b"ping")
    assert server.receiver.frames == messages


async def test_another_client_than_ours_sees_the_codes(serve):
    server = await serve(max_message_size=1000)
    cases = [("x" * 1001, 1009), (b"binary", 1003), (["é" * 400, "é" * 400], 1009), ([b"bin", b"ary"], 1003)]
    for message, code in cases:
        client = await server.connect()
        with contextlib.suppress(ConnectionClosed):  # the first fragment may be enough
            await client.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


async def test_another_client_than_ours_sends_fragments_and_pings(serve):
    server = await serve()
    server.receiver.answer = lambda peer, message: peer.send(message)
    client = await server.connect()
    await client.send(["frag", "", "ments"])
    assert await client.recv() == "fragments"
    async with client:
        await (await client.ping())
    assert client.close_code == 1000
