"""One WebSocket connection: the receiving half."""

from __future__ import annotations

from typing import Final

from picows import WSFrame, WSMsgType, WSTransport

from streamer.core.ids import new_id
from streamer.core.principal import Principal
from streamer.transports.close_codes import INTERNAL_ERROR, POLICY, PROTOCOL_ERROR, answer_to
from streamer.transports.framing import NOT_UTF8, Assembly, Violation, is_utf8, out_of_place
from streamer.transports.kernel import unacknowledged
from streamer.transports.linger import Linger
from streamer.transports.sender import Sender
from streamer.transports.shared import Shared

_TEXT: Final = WSMsgType.TEXT


class WebSocketPeer(Sender):
    """A `Peer`, and the listener that the WebSocket library calls with each frame.

    The library has already refused, each with its close code: reserved opcodes, frames without a mask, control frames
    that are fragmented or too long, and frames whose header announces more than `max_message_size`.
    """

    __slots__ = (
        "_assembly",
        "_receive",
        "_room",
        "_waiting",
        "address",
        "address_block",
        "heard",
        "idle",
        "owner",
        "pinged",
        "principal",
        "quiet",
        "running",
        "spoke",
    )

    def __init__(self, shared: Shared, owner: str | None, principal: Principal | None = None) -> None:
        super().__init__(shared)
        self.id = new_id("conn_")
        self.principal = principal
        if principal is not None:
            self.owner = principal.owner
        else:
            self.owner = f"connection:{self.id}" if owner is None else owner
        self.address = ""
        self.address_block = ""
        """The block that counts as its address."""
        self.running = 0
        self.heard = True
        """A frame has arrived since the last check of the heartbeat."""
        self.spoke = True
        """A message has arrived since the last check of the heartbeat."""
        self.quiet = 0.0
        """Seconds without any activity."""
        self.idle = 0.0
        """Seconds without a message."""
        self.pinged = False
        """A ping was already sent for this silence."""
        self._receive = shared.receive
        self._assembly: Assembly | None = None
        self._room = 0
        self._waiting = 0

    def refused(self, count: int = 1, /) -> None:
        if not self.closed and self._shared.refuses(self.id, count):
            self._shared.logger.warning(
                "a connection with too many invalid messages was closed",
                connection_id=self.id,
                address=self.address_block,
            )
            self.close(POLICY, "too many invalid messages")

    def stirred(self) -> bool:
        """Whether the client has sent part of a frame, or received buffered data, since the last call.

        Both count as activity while a whole frame takes long: a large message over a slow line, or a client from which
        nothing is read because it reads slowly. Data in the kernel's buffer counts too: over a slow line, that may be
        all for minutes.
        """
        room = len(self._stream.get_protocol().get_buffer(-1))
        waiting = self._stream.get_write_buffer_size() + unacknowledged(self._stream)
        stirred = room != self._room or waiting < self._waiting
        self._room = room
        self._waiting = waiting
        return stirred

    def waits(self) -> bool:
        """Whether the client waits for a request, or for the rest of the data that is sent to it."""
        return self._shared.receiver.waits(self) or self._stream.get_write_buffer_size() > 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Called by the library."""
        self.opened(transport)
        # The library keeps the request as long as the connection; it is no longer needed, large, and may contain a
        # token.
        transport.request.headers.clear()
        transport.request.path = b""
        transport.response.headers.clear()
        shared = self._shared
        shared.peers.add(self)
        shared.connection_limits.add(self.address_block, self.owner)
        shared.empty.clear()
        try:
            shared.registry.add(self)
        except BaseException as problem:  # noqa: BLE001 - whatever it is, it is this connection's end and nobody else's
            self._broken(problem)
        else:
            self._registered = True

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Called by the library."""
        self._forget()
        shared = self._shared
        shared.peers.discard(self)
        shared.connection_limits.remove(self.address_block, self.owner)
        if not shared.peers:
            shared.empty.set()
        self._tell(shared.receiver.disconnected)
        handshake = transport.close_handshake
        # A client that was sent the reason, but has not acknowledged it, may still be sending.
        if handshake is not None and handshake.recv is None and not self._cut:
            Linger.begin(self._stream, shared.loop, shared.lingering)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Called by the library."""
        self.heard = True
        if (
            frame.fin
            and frame.msg_type is _TEXT
            and self._assembly is None
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
            and not transport.is_close_frame_sent
        ):
            data = frame.get_payload_as_bytes()
            if data.isascii() or is_utf8(data):
                self.spoke = True
                if self._paused:
                    self._defer(data)
                    return
                try:
                    self._receive(self, data)
                except BaseException as problem:  # noqa: BLE001 - one connection's fault must not be another's
                    self._broken(problem)
            else:
                self.close(*NOT_UTF8)
            return
        self._unusual(transport, frame)

    def _unusual(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if transport.is_close_frame_sent:
            # Everything that arrives before the client got our close frame is dropped; the client's close frame ends
            # the connection.
            if kind is WSMsgType.CLOSE:
                transport.disconnect()
            elif kind is WSMsgType.PONG:
                self._answered(frame.get_payload_as_bytes())
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(PROTOCOL_ERROR, "reserved bits without an extension")
        elif kind is WSMsgType.CLOSE:
            self.flush()
            self._last_word(answer_to(frame.get_payload_as_bytes()), "")
            transport.disconnect()
        elif kind is WSMsgType.PING:
            if self._paused:
                # Answered when the client reads again; of several pings the newest (RFC 6455, section 5.5.3).
                self._pong_due = frame.get_payload_as_bytes()
                return
            # Messages that arrived before keep their order before the answer.
            self.flush()
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.PONG:
            self._answered(frame.get_payload_as_bytes())
        else:
            self._data(kind, frame)

    def _answered(self, payload: bytes) -> None:
        """A pong: if it answers a ping after final messages, the client has received them."""
        confirmations = self._confirmations
        if confirmations is None or not (names := confirmations.answered(payload)):
            return
        if not confirmations:
            self._confirmations = None
        if self._has_room():
            self._say_caught_up()
        try:
            self._shared.receiver.confirmed(self, names)
        except Exception as problem:  # noqa: BLE001 - one connection's fault must not be another's
            self._broken(problem)

    def _data(self, kind: WSMsgType, frame: WSFrame) -> None:
        starts = kind is not WSMsgType.CONTINUATION
        violation = out_of_place(under_way=self._assembly is not None, starts=starts, text=kind is _TEXT)
        if violation is not None:
            self.close(*violation)
            return
        assembly = self._assembly
        if assembly is None:
            assembly = self._assembly = Assembly(self._shared.max_message_size)
        message = assembly.add(frame.get_payload_as_bytes(), final=frame.fin)
        if isinstance(message, Violation):
            self._assembly = None
            self.close(*message)
        elif message is not None:
            self._assembly = None
            self.spoke = True
            try:
                self._receive(self, message)
            except BaseException as problem:  # noqa: BLE001 - as for a whole message
                self._broken(problem)

    def _hand_on(self, data: bytes) -> None:
        try:
            self._receive(self, data)
        except Exception as problem:  # noqa: BLE001 - as for a whole message
            self._broken(problem)

    def _broken(self, problem: BaseException) -> None:
        self._shared.logger.error("a connection broke", connection_id=self.id, exc_info=problem)
        self.close(INTERNAL_ERROR, "internal error")
