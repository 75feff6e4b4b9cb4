"""Reads what a client still sends after the last message to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from typing import Any, Final, Self

SECONDS: Final = 2.0
SHARE: Final = 8
"""Maximum fraction of all descriptors that is used for such sockets."""
_PIECE: Final = 256 * 1024


class Linger:
    """A socket that is only read from, until the client closes it or the time is over.

    Closing a socket with unread data resets the connection, and a reset can prevent a client that is still sending from
    reading the close frame and its reason (RFC 9293, section 3.10.4; RFC 9112, section 9.6, says the same for HTTP).
    The received bytes are dropped.
    """

    __slots__ = ("_all", "_ending", "_loop", "_socket")

    @classmethod
    def begin(cls, stream: Any, loop: asyncio.AbstractEventLoop, everyone: set[Self]) -> None:
        """Continues with the socket of a transport that is about to be closed.

        Args:
            stream: the transport.
            loop: the loop.
            everyone: the set of all such sockets.
        """
        descriptor = stream.get_extra_info("socket").fileno()
        if descriptor < 0:
            return  # With TLS the socket is closed already; there, the TLS shutdown drops what still arrives.
        if len(everyone) >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // SHARE > 0:
            return  # A flood of refused connections must not use the descriptors that others need.
        # Closing the transport closes only its own descriptor of the socket.
        try:
            own = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            return  # No descriptor is left.
        own.settimeout(0)
        try:
            own.shutdown(socket.SHUT_WR)
        except OSError:
            own.close()  # It ended with a reset: no client reads it.
            return
        everyone.add(cls(own, loop, everyone))

    def __init__(self, own: socket.socket, loop: asyncio.AbstractEventLoop, everyone: set[Any]) -> None:
        self._socket = own
        self._loop = loop
        self._all = everyone
        self._ending = loop.call_later(SECONDS, self.end)
        loop.add_reader(own.fileno(), self._drain)

    def end(self) -> None:
        """Closes the socket."""
        self._ending.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._all.discard(self)

    def _drain(self) -> None:
        ended = True
        with contextlib.suppress(OSError):
            ended = not self._socket.recv(_PIECE)
        if ended:
            self.end()
