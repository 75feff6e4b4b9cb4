"""When what was queued is written."""

from __future__ import annotations

from streamer.transports.flusher import Flusher


class Loop:
    """Runs what was called soon when a test ends the turn."""

    def __init__(self) -> None:
        self.called = []

    def call_soon(self, callback, *args):
        self.called.append((callback, args))

    def turn(self) -> None:
        called, self.called = self.called, []
        for callback, args in called:
            callback(*args)


class Peer:
    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1


def test_the_first_message_of_a_quiet_time_is_written_at_once():
    loop, peer = Loop(), Peer()
    flusher = Flusher(loop)
    assert flusher.begin(peer)
    loop.turn()
    assert peer.flushed == 0
    assert flusher.begin(peer)


def test_a_second_connection_in_the_same_turn_waits_for_its_end():
    loop, first, second = Loop(), Peer(), Peer()
    flusher = Flusher(loop)
    assert flusher.begin(first)
    assert not flusher.begin(second)
    assert second.flushed == 0
    loop.turn()
    assert (first.flushed, second.flushed) == (0, 1)


def test_after_a_busy_turn_everything_waits_until_a_turn_is_quiet_again():
    loop, first, second = Loop(), Peer(), Peer()
    flusher = Flusher(loop)
    flusher.begin(first)
    flusher.begin(second)
    loop.turn()
    assert not flusher.begin(first)
    loop.turn()
    assert first.flushed == 1
    assert flusher.begin(first)


def test_a_turn_is_ended_once_however_many_connections_it_had():
    loop = Loop()
    flusher = Flusher(loop)
    for _ in range(5):
        flusher.begin(Peer())
    assert len(loop.called) == 1
