"""One WebSocket connection: sends and receives whole text messages, and reports its end. It knows nothing of
requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
)

from streamer.client.machine.state import ABNORMAL, CLOSED_HERE, TOO_LARGE
from streamer.core.ids import PROCESS_HEADER
from streamer.core.parts import MARK, Joiner, TooLongError

_NO_CODE: Final = 1005
_CLOSE_TIMEOUT: Final = 5.0
_LONGEST_FRAME: Final = 32 * 1024
"""Bytes. API Gateway closes the connection with 1009 for a longer frame, even though messages may be longer (see its
quotas for WebSocket APIs).
"""

logger = logging.getLogger("streamer.client")


class ClientSocket(WSListener):
    """The listener that picows calls. All methods run on the loop's thread.

    Args:
        on_message: called with each whole text message.
        on_end: called once when the connection has ended, with its close code and reason.
        max_message_size: maximum bytes of one message, over all its fragments and parts.
        on_too_large: called with the request that a message in parts belongs to when the message exceeds the limit; if
            it returns False, the connection ends.
    """

    def __init__(
        self,
        on_message: Callable[[bytes], None],
        on_end: Callable[[int, str], None],
        max_message_size: int,
        on_too_large: Callable[[str | None], bool] = lambda _request_id: False,
    ) -> None:
        self._on_too_large = on_too_large
        self._on_message = on_message
        self._on_end = on_end
        self._max_message_size = max_message_size
        self._transport: WSTransport | None = None
        self._loop = asyncio.get_running_loop()
        self._fragments: list[bytes] | None = None
        self._joiner = Joiner(max_message_size)
        self._ended_by: tuple[int, str] | None = None
        self._room: asyncio.Future[None] | None = None
        self._gone: asyncio.Task[None] | None = None
        self.ended = False
        """Whether the connection has ended."""
        self.process: str | None = None
        """The id of the service's process, if the service sends it."""
        self.refused = False
        """Whether it ended because a message of the service was longer than `max_message_size`."""

    @property
    def full(self) -> bool:
        """Whether too much data is buffered for sending; then await `room` before sending."""
        return self._room is not None

    async def room(self) -> None:
        """Returns when enough of the buffered data has been sent, or the connection has ended."""
        while self._room is not None:
            await asyncio.shield(self._room)

    def send(self, text: bytes) -> None:
        """Sends one text message immediately, or buffers it. Does nothing after the connection has ended."""
        assert self._transport is not None
        if len(text) <= _LONGEST_FRAME:
            self._transport.send(WSMsgType.TEXT, text)
            return
        kind = WSMsgType.TEXT
        for start in range(0, len(text), _LONGEST_FRAME):
            end = start + _LONGEST_FRAME
            self._transport.send(kind, text[start:end], fin=end >= len(text))
            kind = WSMsgType.CONTINUATION

    async def close(self) -> None:
        """Sends a close message, waits briefly for the answer, and disconnects."""
        transport, gone = self._transport, self._gone
        assert transport is not None
        assert gone is not None
        self._ended_by = self._ended_by or CLOSED_HERE
        transport.send_close(WSCloseCode.OK)
        await asyncio.wait([gone], timeout=_CLOSE_TIMEOUT)
        transport.disconnect(graceful=False)
        await asyncio.shield(gone)

    def drop(self) -> None:
        """Disconnects without a close message."""
        assert self._transport is not None
        self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.process = transport.response.headers.get(PROCESS_HEADER)
        self._gone = self._loop.create_task(_wait_gone(transport))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._closed(transport, frame.get_payload_as_bytes())
        elif transport.is_close_frame_sent:
            return  # After a malformed frame, picows passes on data that is not a frame.
        elif kind == WSMsgType.TEXT and frame.fin:
            self._take(transport, frame.get_payload_as_bytes())
        elif kind == WSMsgType.TEXT:
            self._fragments = [frame.get_payload_as_bytes()]
        elif kind == WSMsgType.CONTINUATION:
            self._continue(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        sent = _sent_close(transport)
        if sent is not None and sent.code == TOO_LARGE:
            self._refused()
        if self._ended_by is None:
            self._ended_by = (ABNORMAL, sent.reason if sent is not None else "without a close message")
        self.ended = True
        self.resume_writing()
        self._on_end(*self._ended_by)

    def pause_writing(self) -> None:
        if self._room is None:
            self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    def _continue(self, transport: WSTransport, frame: WSFrame) -> None:
        if self._fragments is None:
            return
        self._fragments.append(frame.get_payload_as_bytes())
        if sum(map(len, self._fragments)) > self._max_message_size:
            self._fragments = None
            self._refuse(transport)
        elif frame.fin:
            whole, self._fragments = b"".join(self._fragments), None
            self._take(transport, whole)

    def _take(self, transport: WSTransport, message: bytes) -> None:
        """Passes on a message; a part of a message waits for the other parts."""
        if not message.startswith(MARK):
            self._on_message(message)
            return
        try:
            whole = self._joiner.add(message)
        except TooLongError as error:
            if not self._on_too_large(error.request_id):
                self._refuse(transport)
        else:
            if whole is not None:
                self._on_message(whole.encode())

    def _refuse(self, transport: WSTransport) -> None:
        self._refused()
        transport.send_close(WSCloseCode.MESSAGE_TOO_BIG)
        transport.disconnect()

    def _refused(self) -> None:
        self.refused = True
        self._ended_by = (TOO_LARGE, f"the service sent a message of more than {self._max_message_size} bytes")

    def _closed(self, transport: WSTransport, body: bytes) -> None:
        # Decoded by hand: picows' enumeration does not have the codes from 3000 on.
        code = int.from_bytes(body[:2]) if len(body) >= 2 else _NO_CODE  # noqa: PLR2004 - the code's two bytes
        sent = _sent_close(transport)
        if sent is not None and sent.code == TOO_LARGE:
            self._refused()  # The library sends them; the service only answers.
        if self._ended_by is None:
            self._ended_by = (code, body[2:].decode(errors="replace"))
        if not transport.is_close_frame_sent:
            transport.send_close(WSCloseCode.OK)
        transport.disconnect()


def _sent_close(transport: WSTransport) -> Any:
    """The close message that this side sent, as the library keeps it: `code` and `reason`."""
    return None if transport.close_handshake is None else transport.close_handshake.sent


async def _wait_gone(transport: WSTransport) -> None:
    # Protocol errors of the peer are already reported by the close code.
    with contextlib.suppress(WSError):
        await transport.wait_disconnected()
