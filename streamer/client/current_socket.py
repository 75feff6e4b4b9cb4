"""The current connection attempt or socket; there is at most one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import msgspec

from streamer.client.client_socket import ClientSocket
from streamer.client.connection_errors import ConnectionFailed
from streamer.client.machine import events
from streamer.client.messages import decode, event_of
from streamer.core.clock import Clock

logger = logging.getLogger("streamer.client")

OpenLink = Callable[[Callable[[], ClientSocket]], Coroutine[Any, Any, ClientSocket]]
Happened = Callable[[events.Event, Any], None]


class CurrentSocket:
    """Reports events of the current attempt or socket, and ignores those of earlier ones.

    Args:
        url: for messages.
        open_socket: opens a socket, given a factory for the listener. Raises ConnectionFailed.
        happened: called with each event and its origin: the error of an attempt, or a message and its text.
        max_message_size: maximum bytes of a message that each socket accepts.
        on_open: called when a socket is open.
        on_end: called when it has ended.
        clock: the source of time.
    """

    def __init__(
        self,
        url: str,
        open_socket: OpenLink,
        happened: Happened,
        *,
        max_message_size: int,
        on_open: Callable[[], None],
        on_end: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._url = url
        self.open_socket = open_socket
        self._happened = happened
        self._max_message_size = max_message_size
        self._on_open = on_open
        self._on_end = on_end
        self._clock = clock
        self._epoch: int | None = None
        """Of the current attempt or socket."""
        self._dialling: asyncio.Task[None] | None = None
        self.socket: ClientSocket | None = None
        """The socket while it is open."""

    def dial(self, epoch: int) -> None:
        """Starts an attempt."""
        self._epoch = epoch
        self._dialling = asyncio.get_running_loop().create_task(self._dial(epoch))

    def hang_up(self) -> ClientSocket | None:
        """Ends the attempt. Returns an open socket, which the caller must close."""
        socket, self.socket, self._epoch = self.socket, None, None
        self._on_end()
        if socket is None and self._dialling is not None:
            self._dialling.cancel()
        return socket

    def forget(self) -> None:
        """Its loop has ended, or belongs to another process."""
        self.socket = self._dialling = self._epoch = None
        self._on_end()

    async def _dial(self, epoch: int) -> None:
        def make() -> ClientSocket:
            return ClientSocket(
                partial(self._receive, epoch),
                partial(self._ended, epoch),
                self._max_message_size,
                partial(self._too_large, epoch),
            )

        try:
            socket = await self.open_socket(make)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            if epoch == self._epoch:
                self._failed(epoch, error)
            return
        if epoch != self._epoch:
            socket.drop()
        elif not socket.ended:
            self.socket = socket
            self._on_open()
            self._happened(events.Opened(epoch, self._now(), socket.process), None)

    def _failed(self, epoch: int, error: Exception) -> None:
        if not isinstance(error, ConnectionFailed):
            cause, error = error, ConnectionFailed(self._url, f"{type(error).__name__}: {error}", reconnect=False)
            error.__cause__ = cause
        self._happened(events.Failed(epoch, error.reason, status=error.status, final=not error.reconnect), error)

    def _ended(self, epoch: int, code: int, reason: str) -> None:
        if epoch != self._epoch:
            return
        socket, self.socket, self._epoch = self.socket, None, None
        self._on_end()
        refused = socket is not None and socket.refused
        self._happened(events.Ended(epoch, code, reason, self._now(), refused), None)

    def _receive(self, epoch: int, text: bytes) -> None:
        if epoch != self._epoch:
            return
        try:
            message = decode(text)
        except msgspec.DecodeError as error:
            logger.warning("A message of the service could not be parsed and is ignored: %s", error)
            return
        if (event := event_of(message, self._now)) is not None:
            self._happened(event, (message, text))

    def _too_large(self, epoch: int, request_id: str | None) -> bool:
        """Returns whether the message's request is known."""
        if request_id is not None and epoch == self._epoch:
            self._happened(events.TooLarge(request_id), None)
        return request_id is not None

    def _now(self) -> float:
        """In milliseconds, the unit of the state machine."""
        return self._clock.monotonic() * 1000
