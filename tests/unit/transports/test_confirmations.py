"""A client has taken a final message when it has answered a ping that was sent after it, and not before."""

from __future__ import annotations

import asyncio

import pytest

from streamer.transports.confirmations import MOST, Confirmations

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
        confirmations.expect(f"r{number}")
    ping = confirmations.ping_frame()
    names = confirmations.answered(ping[2:])
    assert (len(names), names[0]) == (MOST, "r10")
    assert not confirmations


def test_nothing_answers_a_ping_that_has_not_been_sent():
    confirmations = Confirmations()
    confirmations.expect("r1")
    ahead = confirmations.newest_payload()
    assert confirmations.answered(ahead) == []
    assert confirmations.answered(confirmations.ping_frame()[2:]) == ["r1"]
