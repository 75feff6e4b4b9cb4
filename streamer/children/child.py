"""The child's end, and the program of a child process: `python -m streamer.children.child FD MODULE:FUNCTION`."""

from __future__ import annotations

import importlib
import signal
import socket
import sys
from types import FrameType

from streamer.children.framing import Unframer, frame

_READ_SIZE = 256 * 1024


class Channel:
    """Blocking, for one thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._unframer = Unframer()

    def receive(self) -> list[bytes]:
        """Waits for at least one whole message and returns all that have arrived. Empty when the parent is gone."""
        while True:
            data = self._socket.recv(_READ_SIZE)
            if not data:
                return []
            messages = self._unframer.feed(data)
            if messages:
                return messages

    def send(self, *messages: bytes) -> None:
        """Sends the messages in one write.

        Raises:
            BrokenPipeError: the parent is gone.
        """
        self._socket.sendall(b"".join([frame(message) for message in messages]))


def main(arguments: list[str]) -> None:
    """Runs the target over the channel until it returns."""
    descriptor, target = arguments
    # A handler, not SIG_IGN: a program that the target starts would inherit that and could not be ended politely.
    signal.signal(signal.SIGINT, _go_on)
    signal.signal(signal.SIGTERM, _go_on)
    module, _, name = target.partition(":")
    with socket.socket(fileno=int(descriptor)) as sock:
        # A program that the target starts and that outlives it must not hold the socket, or nobody hears of its end.
        sock.set_inheritable(False)
        getattr(importlib.import_module(module), name)(Channel(sock))


def _go_on(number: int, frame: FrameType | None) -> None:
    """Takes a signal and does nothing about it: when the child ends is the parent's to say."""


if __name__ == "__main__":
    main(sys.argv[1:])
