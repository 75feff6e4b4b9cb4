"""The one try to connect, or the one socket, that there is at a time."""

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
    """What a try or a socket says counts only while it is the newest, and was not hung up.

    Args:
        url: for people.
        open_socket: opens a socket, given what makes one. Raises ConnectionFailed.
        happened: called with each event, and with what it came from: the error of a try, or a message and its text.
        max_message_size: bytes of one message that each socket takes.
        on_open: called when a socket is open.
        on_end: called when it has ended.
        clock: where time comes from.
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
        """Of the present try or socket."""
        self._dialling: asyncio.Task[None] | None = None
        self.socket: ClientSocket | None = None
        """The socket while it is open."""

    def dial(self, epoch: int) -> None:
        """Begins a try."""
        self._epoch = epoch
        self._dialling = asyncio.get_running_loop().create_task(self._dial(epoch))

    def hang_up(self) -> ClientSocket | None:
        """Ends the try. A socket is returned, for the caller to end."""
        socket, self.socket, self._epoch = self.socket, None, None
        self._on_end()
        if socket is None and self._dialling is not None:
            self._dialling.cancel()
        return socket

    def forget(self) -> None:
        """The loop of it has ended, or is another process's."""
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
            logger.warning("A message of the service could not be read and is ignored: %s", error)
            return
        if (event := event_of(message, self._now)) is not None:
            self._happened(event, (message, text))

    def _too_large(self, epoch: int, request_id: str | None) -> bool:
        """Returns whether it is known for which request the message was."""
        if request_id is not None and epoch == self._epoch:
            self._happened(events.TooLarge(request_id), None)
        return request_id is not None

    def _now(self) -> float:
        """In milliseconds, as the state machine counts."""
        return self._clock.monotonic() * 1000
