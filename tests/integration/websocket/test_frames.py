"""Frames in: what is handed on, what is answered, what closes a connection and with which code."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1023, 1024, 65535, 65536, 100_000])
async def test_a_message_of_any_size_comes_back_whole(serve, size):
    served = await serve()
    async with connect(served.url) as client:
        await client.send("é" * (size // 2) + "x" * (size % 2))
        assert len((await client.recv()).encode()) == size


async def test_an_empty_message_is_handed_on(serve):
    served = await serve()
    async with connect(served.url) as client:
        await client.send("")
        assert await client.recv() == ""
    assert served.receiver.messages == [b""]


async def test_many_messages_in_one_piece_are_handed_on_in_order(serve, raw):
    served = await serve()
    client = await raw.open(served)
    texts = [str(number).encode() for number in range(100)]
    client.write(*(raw.frame(TEXT, text) for text in texts))
    assert [(await client.frame())[1] for _ in texts] == texts
    assert served.receiver.messages == texts


async def test_fragments_are_put_together_with_control_frames_between_them(serve, raw):
    served = await serve()
    client = await raw.open(served)
    client.write(
        raw.frame(TEXT, b"a\xc3", fin=False),
        raw.frame(PING, b"1"),
        raw.frame(CONTINUATION, b"", fin=False),
        raw.frame(PONG, b"unasked"),
        raw.frame(CONTINUATION, b"\xa9", fin=False),
        raw.frame(PING, b"2"),
        raw.frame(CONTINUATION, b"b"),
    )
    assert await client.frame() == (PONG, b"1")
    assert await client.frame() == (PONG, b"2")
    assert await client.frame() == (TEXT, "aéb".encode())


async def test_a_ping_is_answered_after_what_was_sent_before_it(serve, raw):
    served = await serve()
    other = await raw.open(served)
    client = await raw.open(served)
    # A busy turn first, so that messages are queued to the end of the next ones.
    other.write(raw.frame(TEXT, b"x"))
    client.write(raw.frame(TEXT, b"1"), raw.frame(PING, b"p"), raw.frame(TEXT, b"2"), raw.frame(PING))
    expected = [(TEXT, b"1"), (PONG, b"p"), (TEXT, b"2"), (PONG, b"")]
    assert [await client.frame() for _ in expected] == expected


CLOSED = [
    ("a reserved bit", 1002, [(TEXT, b"x", {"rsv": 4})]),
    ("a reserved bit, the second", 1002, [(TEXT, b"x", {"rsv": 2})]),
    ("a reserved bit, the third", 1002, [(TEXT, b"x", {"rsv": 1})]),
    ("a reserved bit on a ping", 1002, [(PING, b"", {"rsv": 4})]),
    ("a reserved bit on a continuation", 1002, [(TEXT, b"", {"fin": False}), (CONTINUATION, b"", {"rsv": 1})]),
    ("a reserved opcode", 1002, [(3, b"x", {})]),
    ("a reserved control opcode", 1002, [(11, b"", {})]),
    ("no mask", 1002, [(TEXT, b"x", {"masked": False})]),
    ("a continuation frame without a message", 1002, [(CONTINUATION, b"x", {})]),
    ("a continuation of what has ended", 1002, [(TEXT, b"x", {}), (CONTINUATION, b"x", {})]),
    ("text inside a message", 1002, [(TEXT, b"x", {"fin": False}), (TEXT, b"y", {})]),
    ("binary inside a message", 1002, [(TEXT, b"x", {"fin": False}), (BINARY, b"y", {})]),
    ("a fragmented ping", 1002, [(PING, b"x", {"fin": False})]),
    ("a ping that is too long", 1002, [(PING, b"x" * 126, {})]),
    ("binary", 1003, [(BINARY, b"x", {})]),
    ("binary in fragments", 1003, [(BINARY, b"x", {"fin": False})]),
    ("text that is not UTF-8", 1007, [(TEXT, b"\xff", {})]),
    ("a lone surrogate", 1007, [(TEXT, b"\xed\xa0\x80", {})]),
    ("fragments that are not UTF-8", 1007, [(TEXT, b"\xc3", {"fin": False}), (CONTINUATION, b"x", {})]),
    ("too many bytes", 1009, [(TEXT, b"x" * 1001, {})]),
    ("too many bytes in fragments", 1009, [(TEXT, b"x" * 999, {"fin": False}), (CONTINUATION, b"xx", {"fin": False})]),
    ("a close frame with half a code", 1002, [(CLOSE, b"\x03", {})]),
    ("a close frame with a code that only reports", 1002, [(CLOSE, (1006).to_bytes(2), {})]),
    ("a close frame with a code of nobody", 1002, [(CLOSE, (2000).to_bytes(2), {})]),
    ("a close frame with a reason that is not UTF-8", 1007, [(CLOSE, (1000).to_bytes(2) + b"\xff", {})]),
]


@pytest.mark.parametrize(("code", "frames"), [case[1:] for case in CLOSED], ids=[case[0] for case in CLOSED])
async def test_what_breaks_the_protocol_closes_with_its_code_and_ends_the_connection(serve, raw, code, frames):
    served = await serve(max_message_size=1000)
    client = await raw.open(served)
    client.write(*(raw.frame(opcode, payload, **options) for opcode, payload, options in frames))
    assert await client.close_code() == code
    client.write(raw.frame(CLOSE, code.to_bytes(2)))
    assert await client.rest() == b""
    await served.ended()
    assert len(served.registry) == 0
    assert served.log.lines == []


async def test_a_message_of_exactly_the_limit_is_taken_whole_and_in_fragments(serve, raw):
    served = await serve(max_message_size=1000)
    client = await raw.open(served)
    client.write(
        raw.frame(TEXT, b"x" * 1000), raw.frame(TEXT, b"y" * 999, fin=False), raw.frame(CONTINUATION, b"y" * 1)
    )
    assert await client.frame() == (TEXT, b"x" * 1000)
    assert await client.frame() == (TEXT, b"y" * 1000)


async def test_a_header_that_announces_too_much_is_refused_before_it_comes(serve, raw):
    served = await serve()
    client = await raw.open(served)
    client.write(b"\x81\xff" + (10 * 2**30).to_bytes(8))
    assert await client.close_code() == 1009


@pytest.mark.parametrize("size", [2_000, 20_000_000])
async def test_a_client_that_is_still_sending_learns_that_it_is_too_much(serve, size):
    served = await serve(max_message_size=1000)
    client = await connect(served.url)
    sending = asyncio.create_task(client.send("x" * size))
    with pytest.raises(ConnectionClosed) as ended:
        await client.recv()
    await asyncio.gather(sending, return_exceptions=True)
    await client.wait_closed()
    assert ended.value.rcvd.code == 1009
    assert served.receiver.messages == []


async def test_after_a_close_frame_nothing_is_handed_on_and_nothing_is_sent(serve, raw):
    served = await serve()
    client = await raw.open(served)
    client.write(
        raw.frame(TEXT, b"1"),
        raw.frame(BINARY, b"x"),
        raw.frame(TEXT, b"2"),
        raw.frame(PING),
        raw.frame(BINARY, b"x"),
        raw.frame(CLOSE, (1003).to_bytes(2)),
    )
    assert await client.frame() == (TEXT, b"1")
    assert await client.close_code() == 1003
    assert await client.rest() == b""
    assert served.receiver.messages == [b"1"]


async def test_what_the_library_refuses_is_not_followed_by_anything_either(serve, raw):
    served = await serve(max_message_size=100)
    client = await raw.open(served)
    # One piece: the library sees the second frame's header before it hands on the first frame.
    client.write(raw.frame(TEXT, b"1"), raw.frame(TEXT, b"x" * 101))
    client.write(raw.frame(TEXT, b"3"))
    assert await client.close_code() == 1009
    await served.ended()
    client.writer.write_eof()
    assert await client.rest() == b""
    assert b"x" * 101 not in served.receiver.messages


@pytest.mark.parametrize(("payload", "code"), [(b"", 1000), ((1000).to_bytes(2), 1000), ((4321).to_bytes(2), 4321)])
async def test_a_clients_close_is_answered_with_its_code_after_what_was_queued(serve, raw, payload, code):
    served = await serve()
    client = await raw.open(served)
    client.write(raw.frame(TEXT, b"1"), raw.frame(TEXT, b"2"), raw.frame(CLOSE, payload), raw.frame(TEXT, b"3"))
    assert [await client.frame() for _ in "12"] == [(TEXT, b"1"), (TEXT, b"2")]
    assert await client.close_code() == code
    assert await client.rest() == b""
    await served.ended()
    assert served.receiver.messages == [b"1", b"2"]


async def test_every_connection_is_announced_before_its_first_message_and_taken_back_once(serve, raw):
    served = await serve()
    kind_of_end = {
        "close frame": lambda client: client.write(raw.frame(CLOSE)),
        "violation": lambda client: client.write(raw.frame(BINARY), raw.frame(CLOSE)),
        "refused by the library": lambda client: client.write(raw.frame(3), raw.frame(3), raw.frame(CLOSE)),
        "end of stream": lambda client: client.writer.write_eof(),
        "reset": lambda client: client.writer.transport.abort(),
        "close by the server": lambda client: served.receiver.peers[-1].close(1008),
    }
    for end in kind_of_end.values():
        served.events.clear()
        client = await raw.open(served)
        client.write(raw.frame(TEXT, b"x"))
        await client.frame()
        end(client)
        if end is kind_of_end["close by the server"]:
            assert await client.close_code() == 1008
            client.write(raw.frame(CLOSE, (1008).to_bytes(2)))
        peer = await served.ended()
        assert served.events == [(event, peer.id) for event in ("add", "receive", "remove", "disconnected")]
    assert served.peers == set()


@pytest.mark.parametrize("who_closes", ["client", "server"])
async def test_nothing_of_a_connection_stays_in_memory(serve, raw, who_closes):
    served = await serve()
    client = await raw.open(served)
    client.write(raw.frame(TEXT, b"x"), raw.frame(TEXT, b"unfinished", fin=False))
    await client.frame()
    if who_closes == "server":
        served.receiver.peers[0].close(1008)
        assert await client.close_code() == 1008
    client.write(raw.frame(CLOSE, (1008).to_bytes(2)))
    peer = weakref.ref(await served.ended())
    served.receiver.peers.clear()
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    assert peer() is None


async def test_the_owner_is_the_client_id_or_the_connection(serve, raw):
    served = await serve()
    for path in ("/ws?client_id=s%C3%A9cret", "/ws"):
        client = await raw.open(served, path)
        client.write(raw.frame(TEXT, b"x"))
        await client.frame()
    named, unnamed = served.receiver.peers
    assert named.owner.startswith("client:")
    assert "cret" not in named.owner
    assert unnamed.owner == f"connection:{unnamed.id}"
    assert named.id.startswith("conn_")
    assert served.registry.get(named.id) is named


@pytest.mark.parametrize("frames", [[(TEXT, {})], [(TEXT, {"fin": False}), (CONTINUATION, {})]])
async def test_a_receiver_that_raises_ends_that_connection_only_and_is_logged_once(serve, raw, frames):
    served = await serve()
    other = await raw.open(served)
    client = await raw.open(served)
    problem = ValueError("broken")

    def answer(peer, frame):
        if frame != b"fine":
            raise problem
        peer.send(frame)

    served.receiver.answer = answer
    client.write(*(raw.frame(opcode, b"x", **options) for opcode, options in frames), raw.frame(TEXT, b"y"))
    assert await client.close_code() == 1011
    client.write(raw.frame(CLOSE, (1011).to_bytes(2)))
    peer = await served.ended()
    assert served.log.lines == [("error", "a connection broke", {"connection_id": peer.id, "exc_info": problem})]
    other.write(raw.frame(TEXT, b"fine"))
    assert await other.frame() == (TEXT, b"fine")


async def test_a_registry_or_a_receiver_that_raises_at_the_end_stops_nobody_else(serve, raw):
    served = await serve()
    client = await raw.open(served)
    problem = ValueError("broken")

    def broken(peer):
        raise problem

    served.registry.remove = broken
    client.write(raw.frame(CLOSE))
    await served.ended()
    assert [(level, fields["exc_info"]) for level, _, fields in served.log.lines] == [("error", problem)]
    assert served.peers == set()


async def test_a_registry_that_refuses_a_connection_ends_it(serve, raw):
    served = await serve()
    problem = ValueError("broken")

    def broken(peer):
        raise problem

    served.registry.add = broken
    client = await raw.open(served)
    assert await client.close_code() == 1011
    client.write(raw.frame(CLOSE, (1011).to_bytes(2)))
    peer = await served.ended()
    assert served.events == [("disconnected", peer.id)]


async def test_a_connection_that_is_closing_is_no_longer_found(serve, raw):
    served = await serve()
    client = await raw.open(served)
    client.write(raw.frame(TEXT, b"x"))
    await client.frame()
    [peer] = served.receiver.peers
    assert await served.registry.is_active(peer.id)
    peer.close(1008, "enough")
    assert peer.closed
    assert not await served.registry.is_active(peer.id)
    peer.close(1011, "a second close says nothing")
    peer.send(b"nor does a message")
    peer.send_latest("p", b"nor progress")
    assert await client.frame() == (CLOSE, (1008).to_bytes(2) + b"enough")
    client.write(raw.frame(CLOSE, (1008).to_bytes(2)))
    assert await client.rest() == b""


async def test_what_the_server_says_after_the_librarys_close_frame_is_dropped(serve, raw):
    served = await serve()
    client = await raw.open(served)
    client.write(raw.frame(TEXT, b"hello"))
    await client.frame()
    [peer] = served.receiver.peers
    client.write(raw.frame(3))
    assert await client.close_code() == 1002
    peer.send(b"too late")
    peer.flush()
    assert await client.rest() == b""


async def test_an_upgrade_that_is_none_by_its_connection_header_is_refused(serve):
    served = await serve()
    reader, writer = await asyncio.open_connection(*served.address)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert served.events == []
