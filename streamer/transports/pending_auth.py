"""A connection whose token takes time to verify: its handshake is answered only after that.

The library needs a decision immediately. So it gets a positive one, but an answer without bytes, and the real answer is
written when it is known: for the client, the handshake takes a little longer, or is plainly refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from picows import WSFrame, WSTransport, WSUpgradeResponse

from streamer.core.principal import Principal
from streamer.transports.admission import Admission
from streamer.transports.answers import Answered, encode_answer
from streamer.transports.peer import WebSocketPeer
from streamer.transports.shared import Shared


class SilentResponse(WSUpgradeResponse):
    """The library's answer 101, of which nothing is written yet."""

    __slots__ = ()

    def __init__(self, response: WSUpgradeResponse) -> None:
        self.version, self.status, self.headers, self.body = (
            response.version,
            response.status,
            response.headers,
            response.body,
        )

    def to_bytes(self) -> bytearray:
        """No bytes."""
        return bytearray()


class PendingAuth(WebSocketPeer):
    """A connection that waits for its principal.

    Args:
        shared: of the transport.
        started: the result of `Admission.begin`.
        admission: finishes it.
        held: all waiting connections of the transport.
    """

    __slots__ = ("_admission", "_all_held", "_pending", "_started", "_task")

    def __init__(
        self,
        shared: Shared,
        started: Awaitable[Principal],
        admission: Admission,
        held: set[PendingAuth],
    ) -> None:
        super().__init__(shared, None)
        self._started: Awaitable[Principal] | None = started
        self._admission = admission
        self._all_held = held
        self._pending: WSTransport | None = None
        self._task: asyncio.Task[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Called by the library; no other part of the service knows the connection yet."""
        forget_token(transport)
        self._pending = transport
        transport.underlying_transport.pause_reading()
        self._all_held.add(self)
        started, self._started = self._started, None
        assert started is not None, "the library says once that it is connected"
        self._task = self._shared.loop.create_task(self._decide(transport, started), name="held handshake")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Called by the library. A client may send nothing before it has its answer."""
        if self._pending is None:
            super().on_ws_frame(transport, frame)
        else:
            transport.disconnect(graceful=False)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Called by the library."""
        if self._pending is None:
            super().on_ws_disconnected(transport)
        else:
            self.give_up()

    def give_up(self) -> None:
        """Ends the connection, which no other part of the service knows."""
        self._all_held.discard(self)
        if self._task is not None:
            self._task.cancel()
        assert self._pending is not None, "once it is open it is closed as every connection is"
        self._pending.disconnect(graceful=False)

    async def _decide(self, transport: WSTransport, started: Awaitable[Principal]) -> None:
        decided = await self._admission.finish(started)
        del started
        self._all_held.discard(self)
        self._task = None
        if isinstance(decided, Principal):
            # Other connections of the same owner may have opened meanwhile.
            decided = self._shared.connection_limits.full(self.address_block, decided.owner) or decided
        if isinstance(decided, Answered):
            transport.underlying_transport.write(encode_answer(decided))
            transport.disconnect()
            return
        self.principal = decided
        self.owner = decided.owner
        transport.underlying_transport.write(bytes(WSUpgradeResponse.to_bytes(transport.response)))
        self._pending = None
        super().on_ws_connected(transport)
        transport.underlying_transport.resume_reading()


def forget_token(transport: WSTransport) -> None:
    """The library keeps the request as long as the connection, and with it the token."""
    transport.request.headers.clear()
    transport.request.path = b""
