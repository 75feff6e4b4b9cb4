"""Sends messages on one connection: one write per iteration of the loop, limited by what the client reads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final

from picows import WSListener, WSTransport

from streamer.transports.close_codes import SLOW_CONSUMER, reason_bytes
from streamer.transports.confirmations import Confirmations
from streamer.transports.framing import text_header
from streamer.transports.kernel import unacknowledged
from streamer.transports.shared import CHUNK, Shared

OVERFLOW: Final = 4
"""How many times `max_buffered` may be buffered for a client that does not read before it is disconnected. The largest
message does not count: however large it is, a client on a slow line gets it.
"""
CLOSE_GRACE: Final = 2.0
"""Seconds that a client has to read the buffered data and to answer our close frame."""
CONFIRM_CHECK: Final = 0.25
"""Seconds between two checks whether a client that confirms nothing has received everything anyway."""


class Sender(WSListener):
    """The sending half of a connection. It is one object with the receiving half, because both are used for every
    message.
    """

    __slots__ = (
        "_begin",
        "_caught_up",
        "_checking",
        "_confirmations",
        "_cut",
        "_deferred",
        "_ending",
        "_held",
        "_largest",
        "_latest",
        "_paused",
        "_pong_due",
        "_queued",
        "_queued_size",
        "_registered",
        "_shared",
        "_stream",
        "_transport",
        "_write",
        "closed",
        "id",
    )

    id: str
    post: ClassVar[None] = None
    """Sending needs no further step."""
    _transport: WSTransport
    _stream: Any
    """The transport below the WebSocket; uvloop's does not inherit asyncio's."""
    _write: Callable[[bytes], None]

    def __init__(self, shared: Shared) -> None:
        self.closed = False
        """Nothing more can be sent: a close frame was sent, or the connection has ended."""
        self._shared = shared
        self._begin = shared.begin
        self._queued: list[bytes] = []
        self._queued_size = 0
        self._latest: dict[str, bytes] | None = None
        self._held = 0
        """Bytes of the messages in `_latest`."""
        self._largest = 0
        """Bytes of the largest message that was written since the client last caught up, if it is large."""
        self._confirmations: Confirmations | None = None
        """Set only while final messages wait for their pong."""
        self._caught_up: asyncio.Future[None] | None = None
        """Set only while something waits for the client to catch up."""
        self._checking: asyncio.TimerHandle | None = None
        self._deferred: list[bytes] | None = None
        """Messages that arrived while the client was behind: they are passed on when it has caught up."""
        self._pong_due: bytes | None = None
        """Payload of the newest ping that arrived meanwhile."""
        self._paused = False
        self._registered = False
        self._cut = False
        self._ending: asyncio.TimerHandle | None = None

    def opened(self, transport: WSTransport) -> None:
        """The connection can now be written to."""
        self._transport = transport
        self._stream = stream = transport.underlying_transport
        self._write = stream.write
        stream.set_write_buffer_limits(high=self._shared.max_buffered)

    def send(self, data: bytes, /) -> None:
        if self.closed:
            return
        size = len(data)
        queued = self._queued
        if not queued and self._begin(self):
            self._put(text_header(size) + data)
            return
        queued.append(text_header(size))
        queued.append(data)
        self._queued_size += size
        if self._queued_size > CHUNK:
            self.flush()

    def send_latest(self, name: str, data: bytes, final: bool = False, /) -> None:
        if final:
            self._send_final(name, data)
        elif not self._paused:
            self.send(data)
        elif not self.closed:
            self._hold(name, data)

    def room(self) -> Awaitable[None] | None:
        if self._has_room():
            return None
        if self._caught_up is None:
            self._caught_up = self._shared.loop.create_future()
            self._checking = self._shared.loop.call_later(CONFIRM_CHECK, self._check_taken)
        return self._caught_up

    def _has_room(self) -> bool:
        confirmations = self._confirmations
        return self.closed or not (
            self._paused or (confirmations is not None and confirmations.size > self._shared.window)
        )

    def _check_taken(self) -> None:
        """A client that answers no ping has caught up when nothing is buffered, here or in the kernel."""
        if self._stream.get_write_buffer_size() or unacknowledged(self._stream):
            self._checking = self._shared.loop.call_later(CONFIRM_CHECK, self._check_taken)
        else:
            if self._confirmations is not None:
                self._confirmations.arrived()
            self._say_caught_up()

    def _send_final(self, name: str, data: bytes) -> None:
        if self.closed:
            return
        if self._latest is not None:
            self._held -= len(self._latest.pop(name, b""))
        if self._confirmations is None:
            self._confirmations = Confirmations()
        queued = self._queued
        now = not queued and self._begin(self)
        queued += (text_header(len(data)), data)
        self._queued_size += len(data)
        self._confirmations.expect(name, len(data))
        if now or self._queued_size > CHUNK:
            self.flush()

    def _hold(self, name: str, data: bytes) -> None:
        latest = self._latest
        if latest is None:
            latest = self._latest = {}
        self._held += len(data) - len(latest.get(name, b""))
        latest[name] = data
        self._check_bound()

    def flush(self) -> None:
        """Writes everything that is queued, in one call."""
        queued = self._queued
        if queued:
            self._queued = []
            self._queued_size = 0
            confirmations = self._confirmations
            if confirmations is not None and confirmations.due and self._may_ask(confirmations):
                queued.append(confirmations.ping_frame())
            self._put(b"".join(queued), queued)

    def _may_ask(self, confirmations: Confirmations) -> bool:
        return confirmations.size > self._shared.little or self._shared.ping_now(self)

    def ask(self) -> None:
        if not self.closed:
            self.flush()
            # The queued messages may have included it.
            self._ask_last()

    def _ask_last(self) -> bool:
        """Sends a ping for messages that were written without one; returns whether there were any."""
        confirmations = self._confirmations
        if confirmations is None or not confirmations.due:
            return False
        self._shared.ping_now(self)
        self._put(confirmations.ping_frame())
        return True

    def ping(self) -> None:
        """Sends a ping to test the connection."""
        self.flush()
        if not self._ask_last():
            # The client may answer only the newest ping, so that one must prove as much as those before it.
            confirmations = self._confirmations
            self._transport.send_ping(confirmations.newest_payload() if confirmations else None)

    def close(self, code: int, reason: str = "") -> None:
        """Sends everything that is queued and a close frame; disconnects when the client does not answer in time."""
        if self.closed:
            return
        self.flush()
        self._ask_last()
        self._last_word(code, reason)
        # The client's answer would not be seen while nothing is read from it.
        if self._deferred is not None:
            self._deferred = None
            self._stream.resume_reading()

    def cut(self) -> None:
        """Disconnects without a close frame."""
        self._cut = True
        self._transport.disconnect(graceful=False)

    def give_up(self) -> None:
        """The client shows no activity. A client that is only slow may read again, and then gets the reason."""
        waiting = self._waiting_size() + unacknowledged(self._stream)
        if waiting:
            self._cut_off(waiting)
        else:
            self.cut()

    def pause_writing(self) -> None:
        """More than `max_buffered` is buffered: no message of this client is passed on until it has read."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._paused = False
        self._largest = 0
        latest, self._latest = self._latest, None
        self._held = 0
        if self.closed:
            return
        if latest is not None:
            for data in latest.values():
                self.send(data)
        if self._pong_due is not None:
            self.flush()
            payload, self._pong_due = self._pong_due, None
            self._transport.send_pong(payload)
        if self._deferred is not None:
            deferred, self._deferred = self._deferred, None
            for place, data in enumerate(deferred):
                if self._paused or self.closed:
                    self._deferred = deferred[place:]
                    break
                self._hand_on(data)
            else:
                self._stream.resume_reading()
        if self._has_room():
            self._say_caught_up()

    def _hand_on(self, data: bytes) -> None:
        raise NotImplementedError

    def _defer(self, data: bytes) -> None:
        """A message that arrived while the client was behind. Nothing more is read, but received messages are kept."""
        if self._deferred is None:
            self._deferred = []
            self._stream.pause_reading()
        self._deferred.append(data)

    def _last_word(self, code: int, reason: str) -> None:
        self.closed = True
        self._latest = None
        self._withdraw()
        self._say_caught_up()
        # Our own codes are not in the library's enumeration; it sends them unchanged.
        self._transport.send_close(code, reason_bytes(reason))  # type: ignore[arg-type]  # as above
        self._ending = self._shared.loop.call_later(CLOSE_GRACE, self.cut)

    def _forget(self) -> None:
        """The connection has ended: nothing of it may stay in memory."""
        self.closed = True
        self._queued = []
        self._latest = None
        self._deferred = None
        self._confirmations = None
        self._withdraw()
        self._say_caught_up()
        if self._ending is not None:
            self._ending.cancel()

    def _say_caught_up(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        caught_up, self._caught_up = self._caught_up, None
        if caught_up is not None and not caught_up.done():
            caught_up.set_result(None)

    def _withdraw(self) -> None:
        """Nothing more can be sent, so the connection must no longer be found: senders would assume a delivery."""
        if self._registered:
            self._registered = False
            self._tell(self._shared.registry.remove)

    def _tell(self, listener: Callable[[Any], None]) -> None:
        try:
            listener(self)
        except BaseException as problem:  # After any exception, the connection ends.
            self._shared.logger.error("the end of a connection", connection_id=self.id, exc_info=problem)

    def _put(self, data: bytes, parts: Sequence[bytes] = ()) -> None:
        # The library answers some violations with its own close frame, after which nothing may be sent.
        if self._transport.is_close_frame_sent:
            return
        if len(data) > self._shared.max_buffered:
            self._largest = max(self._largest, *map(len, parts or (data,)))
        elif self._largest and not self._paused:
            self._largest = 0
        self._write(data)
        if self._paused:
            self._check_bound()

    def _check_bound(self) -> None:
        waiting = self._waiting_size()
        if waiting - self._largest > OVERFLOW * self._shared.max_buffered:
            self._cut_off(waiting)

    def _waiting_size(self) -> int:
        return int(self._stream.get_write_buffer_size()) + self._held

    def _cut_off(self, waiting: int) -> None:
        if not self.closed:
            self._shared.logger.warning("slow consumer cut off", connection_id=self.id, buffered=waiting)
            self.close(SLOW_CONSUMER, "slow consumer")
