"""Keeps reading what a client still sends after the last word to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from typing import Any, Final, Self

SECONDS: Final = 2.0
SHARE: Final = 8
"""At most this part of all descriptors is used for such sockets."""
_PIECE: Final = 256 * 1024


class Linger:
    """A socket that is only drained, until the client ends it or the time is over.

    A socket that is closed while something unread waits in it answers with a reset, and a reset can take the close
    frame, and with it the reason, from a client that is still in the middle of sending (RFC 9293, section 3.10.4;
    RFC 9112, section 9.6, says the same for HTTP). The bytes that come are dropped.
    """

    __slots__ = ("_all", "_ending", "_loop", "_socket")

    @classmethod
    def begin(cls, stream: Any, loop: asyncio.AbstractEventLoop, everyone: set[Self]) -> None:
        """Goes on with a transport's socket, which the transport itself is about to close.

        Args:
            stream: the transport.
            loop: the loop.
            everyone: where it is found while it lasts.
        """
        descriptor = stream.get_extra_info("socket").fileno()
        if descriptor < 0:
            return  # over TLS it is closed already; there the end of TLS itself drops what still comes
        if len(everyone) >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // SHARE > 0:
            return  # a flood of refused connections must not take the descriptors that others need
        # Closing the transport closes only its own descriptor of the socket.
        try:
            own = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            return  # there is none left
        own.settimeout(0)
        try:
            own.shutdown(socket.SHUT_WR)
        except OSError:
            own.close()  # it ended by a reset: there is nobody to wait for
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
