"""The child's side, and its program: `python -m streamer.subprocesses.child FD MODULE:FUNCTION LIMIT`."""

from __future__ import annotations

import importlib
import resource
import signal
import socket
import sys
import threading
from types import FrameType

from streamer.streams.standard import print_to_stderr
from streamer.subprocesses.framing import Unframer, frame

_READ_SIZE = 256 * 1024
_TAKE_AT_MOST = 8 * 1024 * 1024
"""Bytes of one `receive` beyond which it does not read more."""


class Channel:
    """Blocking, for one thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._unframer = Unframer()

    def receive(self) -> list[bytes]:
        """Waits for at least one whole message and returns all that have arrived. Empty when the parent is gone."""
        messages: list[bytes] = []
        taken = 0
        while not messages or taken < _TAKE_AT_MOST:
            try:
                # More may have arrived while the last messages were processed than one read returns.
                data = self._socket.recv(_READ_SIZE, socket.MSG_DONTWAIT if messages else 0)
            except BlockingIOError:
                break
            except ConnectionResetError:
                # The parent was killed before it had read everything.
                data = b""
            if not data:
                break
            taken += len(data)
            messages += self._unframer.feed(data)
        return messages

    def send(self, *messages: bytes) -> None:
        """Sends the messages in one write.

        Raises:
            BrokenPipeError: the parent is gone.
        """
        self._socket.sendall(b"".join([frame(message) for message in messages]))


def main(arguments: list[str]) -> None:
    """Runs the target over the channel until it returns."""
    descriptor, target, limit = arguments
    restore_limit(int(limit))
    print_to_stderr()
    # A handler, not SIG_IGN: a program that the target starts would inherit SIG_IGN and could not be terminated.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, _go_on)
    module, _, name = target.partition(":")
    sock = socket.socket(fileno=int(descriptor))
    # A program that the target starts and that outlives it must not keep the socket open, or its end goes unnoticed.
    sock.set_inheritable(False)
    try:
        getattr(importlib.import_module(module), name)(Channel(sock))
    finally:
        if threading.active_count() == 1:
            # Closed by the end of the process itself: the parent kills a child that closes it and does not exit, and
            # could then not see how it ended. Only a thread that does not end needs that kill.
            sock.detach()
        else:
            sock.close()


def restore_limit(soft: int) -> None:
    """Sets the limit of open descriptors with which the service was started; below 0: does not change it."""
    if soft >= 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _go_on(number: int, frame: FrameType | None) -> None:
    """Ignores a signal: the parent decides when the child ends."""


if __name__ == "__main__":
    main(sys.argv[1:])
