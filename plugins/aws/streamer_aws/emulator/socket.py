"""One WebSocket as the gateway holds it: strict about frames, sends no pings, and is closed at its time limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from http.client import responses
from typing import Any, Final

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from streamer.core.clock import Clock
from streamer_aws.emulator.limits import Limits

GOING_AWAY: Final = 1001
UNSUPPORTED: Final = 1003
NOT_UTF8: Final = 1007
ABNORMAL: Final = 1006
CLOSE_PATIENCE: Final = 5.0
"""Seconds that a client gets to close its side."""


class Socket(asyncio.Protocol):
    """One connection: another object decides its handshake, and its messages are passed on whole.

    Args:
        limits: of frames, messages and times.
        clock: time.
        on_request: called with a handshake; it answers with `accept` and `listen`, or with `refuse`.
        on_message: called with each message.
        on_end: called once when an accepted connection ended, with code and reason.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        *,
        on_request: Callable[[Socket, Request], Any],
        on_message: Callable[[Socket, str], Any],
        on_end: Callable[[Socket, int, str], Any],
    ) -> None:
        self.last_active = clock.now()
        self._limits = limits
        self._clock = clock
        self._on_request = on_request
        self._on_message = on_message
        self._on_end = on_end
        # No extensions: API Gateway does not compress.
        self._protocol = ServerProtocol(max_size=(limits.message, limits.frame))
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._early: list[Frame] = []
        self._parts: list[bytes] = []
        self._active = clock.monotonic()
        self._ended = False
        self._accepted = False
        self._hanging_up = False
        self._timers: list[asyncio.Task[None]] = []

    # Called by the loop, as an asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        # After a refused head, nothing more is read from its connection.
        if self._protocol.handshake_exc is None:
            self._protocol.receive_data(data)
            self._work_off()

    def eof_received(self) -> None:
        if self._protocol.handshake_exc is None:
            self._protocol.receive_eof()
            self._work_off()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._finish(ABNORMAL, "Connection Closed Abnormally")
        for timer in self._timers:
            timer.cancel()

    # The code that decides about it sees this.

    @property
    def source_ip(self) -> str:
        """The client's address."""
        assert self._transport is not None
        address: tuple[str, int] = self._transport.get_extra_info("peername")
        return address[0]

    @property
    def is_open(self) -> bool:
        """Whether a message may still be sent."""
        return self._accepted and not self._ended

    @property
    def waiting_bytes(self) -> int:
        """The data that the client has not read and the system no longer buffers."""
        assert self._transport is not None
        return self._transport.get_write_buffer_size()

    def accept(self, subprotocol: str | None = None) -> bool:
        """Answers the handshake with 101. False when the client has disconnected meanwhile."""
        assert self._response is not None
        assert self._transport is not None
        if self._has_gone:
            return False
        if subprotocol is not None:
            self._response.headers["Sec-WebSocket-Protocol"] = subprotocol
        self._protocol.send_response(self._response)
        self._accepted = True
        self._touch()
        self._timers = [asyncio.ensure_future(work) for work in (self._watch_idle(), self._watch_lifetime())]
        self._flush()
        return True

    @property
    def _has_gone(self) -> bool:
        """Whether the client has disconnected, or sent a close frame, before its handshake was answered."""
        return self._ended or self._protocol.eof_sent

    def listen(self) -> None:
        """Starts to accept messages of an accepted connection."""
        assert self._transport is not None
        for frame in self._early:
            self._take(frame)
        self._transport.resume_reading()
        self._work_off()

    def refuse(self, status: int, body: bytes) -> None:
        """Answers the handshake with an HTTP error."""
        if self._has_gone:
            return
        length = ("Content-Length", str(len(body)))
        made = Headers([("Content-Type", "application/json"), length, ("Connection", "close")])
        self._protocol.send_response(Response(status, responses.get(status, "Refused"), made, body))
        assert self._transport is not None
        self._transport.resume_reading()
        self._flush()

    def send(self, data: bytes) -> None:
        """One text message."""
        self._protocol.send_text(data)
        self._touch()
        self._flush()

    def close(self, code: int, reason: str) -> None:
        """Closes an open connection."""
        if self.is_open:
            self._protocol.send_close(code, reason)
            self._flush()
            self._finish(code, reason)

    def end(self) -> None:
        """Disconnects when everything is sent, whatever the client does."""
        if self._transport is not None:
            self._transport.close()

    # Receiving.

    def _work_off(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._begin(event)
            elif isinstance(event, Frame):
                # The client did not wait for the answer to its handshake.
                self._early.append(event) if not self._accepted else self._take(event)
        self._flush()
        if self._accepted and self._protocol.state is not State.OPEN:
            self._finish(*self._closing())

    def _begin(self, request: Request) -> None:
        response = self._protocol.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._protocol.send_response(response)
            return
        self._response = response
        # Nothing more is read before the handshake is answered.
        assert self._transport is not None
        self._transport.pause_reading()
        self._on_request(self, request)

    def _take(self, frame: Frame) -> None:
        self._touch()
        if self._ended:
            return
        if frame.opcode is Opcode.BINARY:
            self._fail(UNSUPPORTED, "Binary frames are not supported")
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._parts.append(bytes(frame.data))
            if frame.fin:
                whole = b"".join(self._parts)
                self._parts = []
                try:
                    text = whole.decode()
                except UnicodeDecodeError:
                    self._fail(NOT_UTF8, "The message is not UTF-8")
                else:
                    self._on_message(self, text)

    def _fail(self, code: int, reason: str) -> None:
        self._protocol.fail(code, reason)
        self._flush()
        self._finish(code, reason)

    def _closing(self) -> tuple[int, str]:
        """Why the connection is closed: our reason for a broken client, otherwise the client's reason."""
        close = self._protocol.close_sent or self._protocol.close_rcvd
        return (ABNORMAL, "Connection Closed Abnormally") if close is None else (close.code, close.reason)

    # Sending.

    def _flush(self) -> None:
        transport = self._transport
        assert transport is not None
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            else:
                # Only half: closing while the other side still writes could lose our last frame.
                with contextlib.suppress(OSError):  # The other side has already disconnected.
                    transport.write_eof()
        if self._protocol.close_expected() and not self._hanging_up:
            self._hanging_up = True
            self._timers.append(asyncio.ensure_future(self._hang_up()))

    def _touch(self) -> None:
        self._active = self._clock.monotonic()
        self.last_active = self._clock.now()

    def _finish(self, code: int, reason: str) -> None:
        if not self._ended:
            self._ended = True
            if self._accepted:
                self._on_end(self, code, reason)

    # Time limits.

    async def _watch_idle(self) -> None:
        while (left := self._active + self._limits.idle - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        self.close(GOING_AWAY, "Going away")

    async def _watch_lifetime(self) -> None:
        await self._clock.sleep(self._limits.lifetime)
        self.close(GOING_AWAY, "Going away")

    async def _hang_up(self) -> None:
        await self._clock.sleep(CLOSE_PATIENCE)
        assert self._transport is not None
        self._transport.abort()
