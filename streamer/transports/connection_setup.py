"""A socket from its first byte to a WebSocket, or to a plain HTTP answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

from streamer.transports.answers import Answered, encode_answer
from streamer.transports.http_request import HttpRequest, RequestReader

READ_SIZE: Final = 4096
LINGER: Final = 2.0
"""Seconds for which bytes are still read from a client that has its answer and continues to send."""

_CANONICAL: Final = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)

_BROKEN: Final = Answered(HTTPStatus.INTERNAL_SERVER_ERROR, "the request could not be answered\n")


class Upgrade(NamedTuple):
    """The request becomes a WebSocket."""

    listener: WSListener
    response: WSUpgradeResponse


Decide = Callable[[HttpRequest], Answered | Upgrade]
MakeProtocol = Callable[[Callable[[WSUpgradeRequest], WSUpgradeResponseWithListener]], Any]


class Opening(asyncio.BufferedProtocol):
    """Reads the request, gets the decision, and passes the socket to the WebSocket library.

    The library also parses requests, but supports only one kind: no HEAD, no HTTP/1.0 and no absolute target, and it
    answers others with representations of Python objects. It gets a synthetic request that it always accepts.

    Args:
        decide: decides on a request.
        make_protocol: creates the library's protocol for the listener that the given function returns.
        loop: the loop.
        logger: for errors that no client may see.

    Attributes:
        finished: done when the socket is a WebSocket, or has ended; cancelled when it is given up.
    """

    def __init__(
        self, decide: Decide, make_protocol: MakeProtocol, loop: asyncio.AbstractEventLoop, logger: Any
    ) -> None:
        self.finished: asyncio.Future[None] = loop.create_future()
        self._decide = decide
        self._make_protocol = make_protocol
        self._loop = loop
        self._logger = logger
        self._reader: RequestReader | None = RequestReader()
        # Buffered, like the library's protocol: the loop chooses its way of reading when reading starts.
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._transport: Any = None
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Called by the loop."""
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        """Called by the loop with each piece of the request."""
        reader = self._reader
        if reader is None or self.finished.done():
            # The answer is known already, or the socket was given up (for another client, or at the time limit) and is
            # about to be closed. Passing it on would crash the library, which would not be informed that it is open.
            return
        request = reader.feed(bytes(self._buffer[:size]))
        if request is None:
            return
        self._reader = None
        if isinstance(request, Answered):
            self._answer(encode_answer(request), more=True)
            return
        try:
            decision = self._decide(request)
        except Exception as problem:
            # A plugin may have made the decision; the client gets an answer, and the operator the reason.
            self._logger.exception("a handshake could not be decided", exc_info=problem)
            decision = _BROKEN
        if isinstance(decision, Answered):
            self._answer(encode_answer(decision, request.method), more=request.has_body)
        else:
            self._hand_over(decision, request.headers["Sec-WebSocket-Key"], reader.rest)

    def eof_received(self) -> None:
        """Called by the loop, which then closes the socket: a client that has stopped sending cannot get an answer."""

    def connection_lost(self, _problem: Exception | None) -> None:
        """Called by the loop."""
        if self._ending is not None:
            self._ending.cancel()
        if not self.finished.done():
            self.finished.set_result(None)

    def _answer(self, data: bytes, *, more: bool) -> None:
        transport = self._transport
        transport.write(data)
        if more and transport.can_write_eof():
            # A socket that is closed with unread data is reset, and the client may lose its answer.
            with contextlib.suppress(OSError):  # The client has disconnected already.
                transport.write_eof()
            self._ending = self._loop.call_later(LINGER, transport.close)
        else:
            transport.close()

    def _hand_over(self, upgrade: Upgrade, key: str, rest: bytes) -> None:
        protocol = self._make_protocol(lambda _: WSUpgradeResponseWithListener(upgrade.response, upgrade.listener))
        transport, self._transport = self._transport, None
        transport.set_protocol(protocol)
        self.finished.set_result(None)
        try:
            protocol.connection_made(transport)
        except OSError:
            # The library sets options of the socket, whose client has already disconnected.
            transport.set_protocol(asyncio.Protocol())
            transport.abort()
            return
        for piece in (_CANONICAL % key.encode("ascii"), rest):
            _feed(protocol, piece)


def _feed(protocol: Any, data: bytes) -> None:
    while data:
        room: memoryview = protocol.get_buffer(-1)
        size = min(len(room), len(data))
        room[:size] = data[:size]
        data = data[size:]
        protocol.buffer_updated(size)
