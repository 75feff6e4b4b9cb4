"""The client's connection over all its breaks: one link at a time, and what happens between two."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from streamer.client.advice import TOKEN_EXPIRED, final_close
from streamer.client.errors import ConnectionLost
from streamer.client.handle import RequestHandle
from streamer.client.link import Link
from streamer.client.pending import PendingRequests
from streamer.client.reconnecting import BackOff, Reconnector
from streamer.client.resuming import Resumption
from streamer.core.clock import Clock

logger = logging.getLogger("streamer.client")

_CLOSED_HERE: Final = (1000, "closed by this client")

OpenLink = Callable[[Callable[[int, str], None]], Coroutine[Any, Any, Link]]


class Connection:
    """Connected, broken for now, or ended.

    Args:
        url: for people.
        open_link: opens one; given what is to be called when it ends. Raises ConnectionFailed.
        pending: the requests that wait.
        reconnect: whether a break is repaired.
        renewable: whether the next handshake brings a fresh token.
        longest_delay: seconds between two tries at most.
        on_open: called when a link stands.
        on_end: called when it has ended.
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
        on_open: Callable[[], None],
        on_end: Callable[[], None],
        on_reconnect: Callable[[], Any] | None,
        clock: Clock,
    ) -> None:
        self._url = url
        self._open_link = open_link
        self._pending = pending
        self._reconnect = reconnect
        self._renewable = renewable
        self._on_open = on_open
        self._on_end = on_end
        self._on_reconnect = on_reconnect
        self._back_off = BackOff(clock, longest_delay)
        self._reconnector = Reconnector(lambda: self._broken, self._open, pending.fail, self._back_off)
        self._resumption = Resumption(pending, lambda: self.link, clock)
        pending.when_busy = self._resumption.later
        pending.when_broken = self._start_anew
        self._opening = asyncio.Lock()
        self._attempt: asyncio.Task[Link] | None = None
        self._attempts = 0
        self._refreshed = False
        self._wanted = False
        self._broken = False
        self._lost: tuple[int, str] = (1000, "it was never opened")
        self.link: Link | None = None
        """The link while it stands."""

    async def connect(self) -> None:
        """Opens it, unless it is open.

        Raises:
            ConnectionFailed: the service cannot be reached, or refused.
            ConnectionLost: it was closed meanwhile.
        """
        self._wanted = True
        self._refreshed = False
        await self._open()

    async def close(self) -> None:
        """Ends it, the trying too, and with it the waiting."""
        broken, self._wanted, self._broken = self._broken, False, False
        if broken:
            self._lost = _CLOSED_HERE
        if self._attempt is not None:
            self._attempt.cancel()
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
            link = await self._try()
            if link.ended:
                return
            self.link = link
            self._back_off.opened()
            self._on_open()
            again, self._broken = self._broken, False
            self._resumption.all(link)
            if again and self._on_reconnect is not None:
                self._tell(self._on_reconnect)

    async def _try(self) -> Link:
        self._check_wanted()
        # A task of its own, so that whoever closes can end it without ending the task that connects.
        self._attempts += 1
        ended = partial(self._ended, self._attempts)
        attempt = self._attempt = asyncio.get_running_loop().create_task(self._open_link(ended))
        try:
            await asyncio.wait([attempt])
            self._check_wanted()
        except (asyncio.CancelledError, ConnectionLost):
            # When what it brings ends later, that says nothing of a link that stands by then.
            self._attempts += 1
            attempt.cancel()
            attempt.add_done_callback(_drop)
            raise
        finally:
            self._attempt = None
        return attempt.result()

    def _start_anew(self) -> None:
        if self.link is not None:
            self.link.drop()

    def _check_wanted(self) -> None:
        if not self._wanted:
            raise ConnectionLost(self._url, *_CLOSED_HERE)

    def _ended(self, attempt: int, code: int, reason: str) -> None:
        if attempt != self._attempts:
            return
        self._on_end()
        link, self.link = self.link, None
        self._lost = (code, reason)
        lasted = self._back_off.ended()
        if lasted or (link is not None and link.heard):
            self._refreshed = False
        self._broken = self._reconnect and self._wanted and self._may_help(code)
        if not self._broken:
            self._pending.lose(self._url, code, reason)
        elif self._pending.interrupt(self._url, code, reason):
            logger.info("The connection to %s ended (%s %s); connecting again", self._url, code, reason)
            self._reconnector.start()

    def _may_help(self, code: int) -> bool:
        """Whether connecting again may. An expired token is worth one more, until a fresh one has been of use."""
        if code != TOKEN_EXPIRED or not self._renewable:
            return not final_close(code)
        refreshed, self._refreshed = self._refreshed, True
        return not refreshed

    def _tell(self, on_reconnect: Callable[[], Any]) -> None:
        try:
            on_reconnect()
        except Exception:
            logger.exception("on_reconnect failed; the connection stands all the same")


def _drop(attempt: asyncio.Task[Link]) -> None:
    """Ends what an attempt brought that nobody wants any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().drop()
