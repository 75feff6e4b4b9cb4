"""The child's end, and the program of a child process: `python -m streamer.children.child FD MODULE:FUNCTION`."""

from __future__ import annotations

import importlib
import signal
import socket
import sys

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
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    module, _, name = target.partition(":")
    with socket.socket(fileno=int(descriptor)) as sock:
        getattr(importlib.import_module(module), name)(Channel(sock))


if __name__ == "__main__":
    main(sys.argv[1:])
