"""The client's connection over all its breaks: one link at a time, and what happens between two."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from streamer.client.errors import TOKEN_EXPIRED, ConnectionLost
from streamer.client.handle import RequestHandle
from streamer.client.link import Link
from streamer.client.pending import PendingRequests
from streamer.client.reconnecting import BackOff, Reconnector
from streamer.client.resuming import Resumption
from streamer.core.clock import Clock

logger = logging.getLogger("streamer.client")

OpenLink = Callable[[Callable[[int, str], None]], Awaitable[Link]]


class Connection:
    """Connected, broken for now, or ended.

    Args:
        url: for people.
        open_link: opens one; given what is to be called when it ends. Raises ConnectionFailed.
        pending: the requests that wait.
        reconnect: whether a break is repaired.
        renewable: whether the next handshake brings a fresh token.
        longest_delay: seconds between two tries at most.
        on_reconnect: called after each repair.
        clock: where time comes from.
    """

    def __init__(
        self,
        url: str,
        open_link: OpenLink,
        pending: PendingRequests,
        *,
        reconnect: bool,
        renewable: bool,
        longest_delay: float,
        on_reconnect: Callable[[], Any] | None,
        clock: Clock,
    ) -> None:
        self._url = url
        self._open_link = open_link
        self._pending = pending
        self._reconnect = reconnect
        self._renewable = renewable
        self._on_reconnect = on_reconnect
        self._back_off = BackOff(clock, longest_delay)
        self._reconnector = Reconnector(lambda: self._broken, self._open, pending.fail, self._back_off)
        self._resumption = Resumption(pending, lambda: self.link, clock)
        pending.when_busy = self._resumption.later
        self._opening = asyncio.Lock()
        self._wanted = False
        self._broken = False
        self._lost: tuple[int, str] = (1000, "it was never opened")
        self.link: Link | None = None
        """The link while it stands."""

    async def connect(self) -> None:
        """Opens it, unless it is open.

        Raises:
            ConnectionFailed: the service cannot be reached, or refused.
        """
        self._wanted = True
        await self._open()

    async def close(self) -> None:
        """Ends it, the trying too, and with it the waiting."""
        broken, self._wanted, self._broken = self._broken, False, False
        if broken:
            self._lost = (1000, "closed by this client")
        await self._reconnector.stop()
        await self._resumption.stop()
        if self.link is not None:
            await self.link.close()
        elif broken:
            self._pending.lose(self._url, *self._lost)

    async def ready(self) -> Link:
        """The link, once it stands and has room.

        Raises:
            ConnectionLost: it has ended and is not to be opened again.
            ConnectionFailed: it cannot be opened again.
        """
        while True:
            if self.link is not None:
                if not self.link.full:
                    return self.link
                await self.link.room()
            elif self._broken:
                await self._reconnector.settled()
            else:
                raise ConnectionLost(self._url, *self._lost)

    def post(self, handle: RequestHandle) -> None:
        """Sends without waiting: now, or as soon as there is a connection again."""
        if self.link is None and not self._broken:
            handle.end(ConnectionLost(self._url, *self._lost))
            return
        self._pending.add(handle)
        if self.link is None:
            self._reconnector.start()
        else:
            assert handle.text is not None
            handle.sends += 1
            self.link.send(handle.text)

    def resume(self, handle: RequestHandle, link: Link) -> None:
        """Asks for a request that the service has stored."""
        self._resumption.one(handle, link)

    async def _open(self) -> None:
        async with self._opening:
            if self.link is not None:
                return
            link = await self._open_link(self._ended)
            if link.ended:
                return
            self.link = link
            self._back_off.opened()
            again, self._broken = self._broken, False
            self._resumption.all(link)
            if again and self._on_reconnect is not None:
                self._tell(self._on_reconnect)

    def _ended(self, code: int, reason: str) -> None:
        self.link = None
        self._lost = (code, reason)
        self._back_off.ended()
        self._broken = self._reconnect and self._wanted and self._may_help(code)
        if not self._broken:
            self._pending.lose(self._url, code, reason)
        elif self._pending.interrupt(self._url, code, reason):
            logger.info("The connection to %s ended (%s %s); connecting again", self._url, code, reason)
            self._reconnector.start()

    def _may_help(self, code: int) -> bool:
        """Whether connecting again may."""
        return ConnectionLost(self._url, code).reconnect or (self._renewable and code == TOKEN_EXPIRED)

    def _tell(self, on_reconnect: Callable[[], Any]) -> None:
        try:
            on_reconnect()
        except Exception:
            logger.exception("on_reconnect failed; the connection stands all the same")
