"""What the kernel says about a connection's unacknowledged bytes."""

from __future__ import annotations

import socket

from streamer.transports.kernel import unacknowledged


class Stream:
    """Part of a transport: its socket alone."""

    def __init__(self, sock):
        self._socket = sock

    def get_extra_info(self, _name):
        return self._socket


def test_what_the_other_side_does_not_read_is_counted_and_a_little_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        with ours, theirs:
            ours.setblocking(False)
            assert unacknowledged(Stream(ours)) == 0
            sent = 0
            while True:
                try:
                    sent += ours.send(b"x" * 1_000_000)
                except BlockingIOError:
                    break
            assert 64 * 1024 < unacknowledged(Stream(ours)) <= sent


def test_a_socket_that_is_closed_says_nothing():
    sock = socket.socket()
    sock.close()
    assert unacknowledged(Stream(sock)) == 0
    with open("/dev/null") as nothing:
        assert unacknowledged(Stream(nothing)) == 0
