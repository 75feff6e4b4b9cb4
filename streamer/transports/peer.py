"""One WebSocket connection: its frames in, its messages out."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from streamer.contracts.connections import FrameReceiver, PeerRegistry
from streamer.core.ids import new_id
from streamer.transports.flusher import Flusher
from streamer.transports.framing import text_header

BINARY: Final = 1003
INVALID_TEXT: Final = 1007
TOO_LARGE: Final = 1009
INTERNAL: Final = 1011
PROTOCOL: Final = 1002
SLOW_CONSUMER: Final = 3008
NO_STATUS: Final = 1005

OVERFLOW: Final = 4
"""How many times `max_buffered` may wait for a client that does not read before it is cut off."""
CLOSE_GRACE: Final = 1.0
"""Seconds that a client has to answer our close frame."""

_TEXT: Final = WSMsgType.TEXT


class Shared:
    """What all connections of a transport have in common."""

    __slots__ = ("flusher", "logger", "loop", "max_buffered", "max_message_size", "peers", "receiver", "registry")

    def __init__(
        self,
        *,
        receiver: FrameReceiver,
        registry: PeerRegistry,
        loop: asyncio.AbstractEventLoop,
        logger: Any,
        max_message_size: int,
        max_buffered: int,
    ) -> None:
        self.receiver = receiver
        self.registry = registry
        self.loop = loop
        self.logger = logger
        self.flusher = Flusher(loop)
        self.max_message_size = max_message_size
        self.max_buffered = max_buffered
        self.peers: set[WebSocketPeer] = set()


class WebSocketPeer(WSListener):
    """Part of `Peer`, and what the WebSocket library calls with each frame."""

    def __init__(self, shared: Shared, client_id: str | None) -> None:
        self.id = new_id("conn_")
        self.owner = f"connection:{self.id}" if client_id is None else f"client:{client_id}"
        self.running = 0
        self.heard = True
        """Anything came since the heartbeat last looked."""
        self.spoke = True
        """A message came since the heartbeat last looked."""
        self.quiet = 0.0
        self.idle = 0.0
        self.closing = False
        self._shared = shared
        self._receive = shared.receiver.receive
        self._at_once = shared.flusher.at_once
        self._transport: WSTransport | None = None
        self._stream: Any = None
        self._queued: list[bytes] = []
        self._paused = False
        self._latest: dict[str, bytes] = {}
        self._fragments: list[bytes] | None = None
        self._fragments_size = 0

    # Out

    def send(self, data: bytes, /) -> None:
        """Part of `Peer`."""
        if self.closing:
            return
        queued = self._queued
        if not queued:
            if self._at_once():
                self._stream.write(text_header(len(data)) + data)
                if self._paused:
                    self._check_overflow()
                return
            self._shared.flusher.add(self)
        queued.append(text_header(len(data)))
        queued.append(data)
        if self._paused:
            self._check_overflow()

    def send_latest(self, name: str, data: bytes, final: bool = False, /) -> None:
        """Part of `Peer`."""
        if final:
            self._latest.pop(name, None)
        elif self._paused:
            self._latest[name] = data
            return
        self.send(data)

    def flush(self) -> None:
        """Writes what is queued, in one call."""
        queued = self._queued
        if queued and self._stream is not None:
            self._queued = []
            self._stream.write(b"".join(queued))

    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return sum(map(len, self._queued)) + int(self._stream.get_write_buffer_size())

    def close(self, code: int, reason: str = "") -> None:
        """Sends what is queued and a close frame; cuts the connection when the client does not answer in time."""
        transport = self._transport
        if self.closing or transport is None:
            return
        self.flush()
        self.closing = True
        transport.send_close(code, reason.encode())  # type: ignore[arg-type]  # codes of our own are not in its enum
        self._shared.loop.call_later(CLOSE_GRACE, transport.disconnect, False)  # noqa: FBT003 - the library's own signature

    def ping(self) -> None:
        """Asks the client for a sign of life."""
        if self._transport is not None and not self.closing:
            self._transport.send_ping()

    def cut(self) -> None:
        """Ends the connection without ceremony."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def _check_overflow(self) -> None:
        if self.buffered() > OVERFLOW * self._shared.max_buffered:
            self._shared.logger.warning("slow consumer cut off", connection_id=self.id, buffered=self.buffered())
            self._queued.clear()
            self._latest.clear()
            self.close(SLOW_CONSUMER, "slow consumer")

    def pause_writing(self) -> None:
        """More than `max_buffered` waits: nothing more is read from this client until it has read."""
        self._paused = True
        with contextlib.suppress(RuntimeError):
            self._stream.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._paused = False
        latest, self._latest = self._latest, {}
        for data in latest.values():
            self.send(data)
        with contextlib.suppress(RuntimeError):
            self._stream.resume_reading()

    # In

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Part of the library's listener."""
        self._transport = transport
        self._stream = transport.underlying_transport
        self._stream.set_write_buffer_limits(high=self._shared.max_buffered)
        self._shared.peers.add(self)
        self._shared.registry.add(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - the library's signature
        """Part of the library's listener."""
        self.closing = True
        self._queued.clear()
        self._latest.clear()
        self._shared.peers.discard(self)
        self._shared.registry.remove(self)
        self._shared.receiver.disconnected(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Part of the library's listener."""
        self.heard = True
        if self.closing:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        try:
            if frame.msg_type is _TEXT and frame.fin and self._fragments is None and not frame.rsv1:
                self.spoke = True
                data = frame.get_payload_as_bytes()
                # Most text is ASCII, which is found out at a fraction of a decode's cost.
                if data.isascii() or _is_utf8(data):
                    self._receive(self, data)
                else:
                    self.close(INVALID_TEXT, "text that is not UTF-8")
            else:
                self._unusual(transport, frame)
        except Exception as problem:  # one connection's fault must not be another's
            self._shared.logger.error("a message broke its connection", connection_id=self.id, exc_info=problem)
            self.close(INTERNAL, "internal error")

    def _unusual(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            self._closed_by_client(transport, frame.get_payload_as_bytes())
        elif kind is WSMsgType.PING:
            self.flush()
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.PONG:
            return
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(PROTOCOL, "reserved bits without an extension")
        elif kind is WSMsgType.BINARY:
            self.close(BINARY, "binary messages are not accepted")
        else:
            self._fragment(kind is _TEXT, frame)

    def _fragment(self, first: bool, frame: WSFrame) -> None:
        fragments = self._fragments
        if first:
            if fragments is not None:
                self.close(PROTOCOL, "a new message inside a fragmented one")
                return
            fragments = self._fragments = []
            self._fragments_size = 0
        elif fragments is None:
            self.close(PROTOCOL, "a continuation of nothing")
            return
        data = frame.get_payload_as_bytes()
        self._fragments_size += len(data)
        if self._fragments_size > self._shared.max_message_size:
            self.close(TOO_LARGE, f"more than {self._shared.max_message_size} bytes")
            return
        # An empty fragment is allowed, and a million of them must not cost memory.
        if data:
            fragments.append(data)
        if frame.fin:
            self._fragments = None
            self.spoke = True
            whole = b"".join(fragments)
            if _is_utf8(whole):
                self._receive(self, whole)
            else:
                self.close(INVALID_TEXT, "text that is not UTF-8")

    def _closed_by_client(self, transport: WSTransport, payload: bytes) -> None:
        self.flush()
        self.closing = True
        code = int.from_bytes(payload[:2]) if len(payload) >= 2 else NO_STATUS  # noqa: PLR2004 - a code has two bytes
        # 1005 only says that there was none, and must not be sent.
        transport.send_close(1000 if code == NO_STATUS else code)  # type: ignore[arg-type]  # as above
        transport.disconnect()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
