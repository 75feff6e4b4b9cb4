"""The client's connection over all its breaks: one link at a time, and what happens between two."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from streamer.client.advice import TOKEN_EXPIRED, TOO_LARGE, final_close
from streamer.client.attempts import Break
from streamer.client.errors import ConnectionFailed, ConnectionLost
from streamer.client.handle import RequestHandle
from streamer.client.home import Home
from streamer.client.link import Link
from streamer.client.pending import PendingRequests
from streamer.client.reconnecting import BackOff, Reconnector
from streamer.client.resuming import Resumption
from streamer.client.state import ConnectionState
from streamer.core.clock import Clock

logger = logging.getLogger("streamer.client")

CLOSED_HERE: Final = (1000, "closed by this client")

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
        max_message_size: bytes of one message that each link takes.
        on_open: called when a link is open.
        on_end: called when it has ended.
        on_reconnect: called each time it is open again.
        on_state_change: called with each change.
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
        max_message_size: int,
        on_open: Callable[[], None],
        on_end: Callable[[], None],
        on_reconnect: Callable[[], Any] | None,
        on_state_change: Callable[[ConnectionState], Any] | None,
        clock: Clock,
    ) -> None:
        self._url = url
        self._open_link = open_link
        self._pending = pending
        self._reconnect = reconnect
        self._renewable = renewable
        self._max_message_size = max_message_size
        self._on_open = on_open
        self._on_end = on_end
        self._on_reconnect = on_reconnect
        self._on_state_change = on_state_change
        self._back_off = BackOff(clock, longest_delay)
        self._reconnector = Reconnector(lambda: self._broken, self._open, self._gave_up, self._back_off, self._report)
        self._resumption = Resumption(pending, lambda: self.link, clock)
        pending.when_busy = self._resumption.later
        pending.when_broken = self._start_anew
        self._home = Home()
        self._opening = asyncio.Lock()
        self._attempt: asyncio.Task[Link] | None = None
        self._attempts = 0
        self._refreshed = False
        self._wanted = False
        self._broken = False
        self._opened_before = False
        self._last_break: Break | None = None
        self._lost: tuple[int, str] | None = None
        """How it ended; None while it was never opened."""
        self.link: Link | None = None
        """The link while it is open."""

    async def connect(self) -> None:
        """Opens it, unless it is open.

        Raises:
            ConnectionFailed: the service cannot be reached, or refused.
            ConnectionLost: it was closed meanwhile.
            RuntimeError: it belongs to another event loop.
        """
        self._home.check()
        self._wanted = True
        self._refreshed = False
        if self.link is None and not self._broken:
            self._lost = None  # a request opens it, if this try fails
        await self._open()

    async def close(self) -> None:
        """Ends it, the trying too, and with it the waiting."""
        if not self._home.leave():
            self._forget()
            return
        broken, self._wanted, self._broken = self._broken, False, False
        if broken or self._lost is None:
            self._lost = CLOSED_HERE
        if self._attempt is not None:
            self._attempt.cancel()
        await self._reconnector.stop()
        await self._resumption.stop()
        if self.link is not None:
            await self.link.close()
        elif broken:
            self._pending.lose(self._url, *CLOSED_HERE)
            self._report(ConnectionState("closed", code=CLOSED_HERE[0], reason=CLOSED_HERE[1]))
        self._opened_before = False
        self._opening = asyncio.Lock()

    def leave(self) -> bool:
        """Lets another loop use it, where it is not open and nobody waits for it; the next use opens it.

        Returns:
            whether that is so.
        """
        idle = self.link is None and not self._broken and not self._opening.locked()
        return idle and self._home.leave()

    async def ready(self) -> Link:
        """The link, once it is open and has room. The first call opens it.

        Raises:
            ConnectionLost: it has ended and is not to be opened again.
            ConnectionFailed: it cannot be opened (again).
            RuntimeError: it belongs to another event loop.
        """
        self._home.check()
        while True:
            if self.link is not None:
                if not self.link.full:
                    return self.link
                await self.link.room()
            elif self._broken:
                await self._reconnector.settled()
            elif self._lost is not None:
                raise ConnectionLost(self._url, *self._lost)
            elif self._reconnect:
                self._wanted = self._broken = True
            else:
                await self.connect()

    def send(self, handle: RequestHandle, link: Link) -> None:
        """Sends a request over the link that `ready` gave; one that the service has stored is resumed.

        Raises:
            ValueError: a request with its id is already waiting.
        """
        self._pending.add(handle)
        self._resumption.send(handle, link)

    def post(self, handle: RequestHandle) -> None:
        """Sends without waiting: now, or as soon as there is a connection again."""
        if self.link is not None:
            self.send(handle, self.link)
        elif self._broken:
            self._pending.add(handle)
            self._reconnector.start()
        else:
            handle.end(ConnectionLost(self._url, *(self._lost or CLOSED_HERE)))

    async def _open(self) -> None:
        async with self._opening:
            if self.link is not None:
                return
            self._report(ConnectionState("connecting"))
            link = await self._try()
            if link.ended:
                return
            self.link = link
            self._back_off.opened()
            self._on_open()
            if self._last_break is not None:
                self._pending.blame_later(self._last_break, link.process)
                self._last_break = None
            again = self._broken and self._opened_before
            self._broken, self._opened_before = False, True
            self._report(ConnectionState("open"))
            self._resumption.all(link)
            if again and self._on_reconnect is not None:
                self._call("on_reconnect", self._on_reconnect)

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
            # When what it brings ends later, that says nothing of a link that is open by then.
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
            raise ConnectionLost(self._url, *CLOSED_HERE)

    def _ended(self, attempt: int, code: int, reason: str) -> None:
        if attempt != self._attempts:
            return
        self._on_end()
        link, self.link = self.link, None
        self._lost = (code, reason)
        lasted = self._back_off.ended()
        if lasted or (link is not None and link.heard):
            self._refreshed = False
        # What was too large is found and left out, and the others go on.
        self._broken = self._reconnect and self._wanted and (code == TOO_LARGE or self._may_help(code))
        if link is not None and self._blame(link, code, reason):
            self._back_off.begin_anew()
        if not self._broken:
            self._pending.lose(self._url, code, reason)
            self._report(ConnectionState("closed", code=code, reason=reason))
        elif self._pending.interrupt(self._url, code, reason):
            logger.info("The connection to %s ended (%s %s); connecting again", self._url, code, reason)
            self._reconnector.start(reason)
        else:
            self._report(ConnectionState("idle", code=code, reason=reason))

    def _blame(self, link: Link, code: int, reason: str) -> bool:
        expected = link.expected or not self._wanted
        how = Break(self._url, code, reason, link.refused, expected, self._max_message_size, link.process)
        self._last_break = how
        return self._pending.blame(how)

    def _may_help(self, code: int) -> bool:
        """Whether connecting again may. An expired token is worth one more, until a fresh one has been of use."""
        if code != TOKEN_EXPIRED or not self._renewable:
            return not final_close(code)
        refreshed, self._refreshed = self._refreshed, True
        return not refreshed

    def _gave_up(self, refusal: ConnectionFailed) -> None:
        self._pending.fail(refusal)
        self._report(ConnectionState("closed", reason=refusal.reason))

    def _forget(self) -> None:
        """The loop of this connection has ended, or is another process's, and with it all that waited."""
        self.link = self._attempt = None
        self._wanted = self._broken = self._opened_before = False
        self._lost = CLOSED_HERE
        self._attempts += 1
        self._opening = asyncio.Lock()
        self._reconnector.forget()
        self._resumption.forget()
        self._pending.forget()

    def _report(self, state: ConnectionState) -> None:
        if self._on_state_change is not None:
            self._call("on_state_change", self._on_state_change, state)

    def _call(self, name: str, callback: Callable[..., Any], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:
            logger.exception("%s failed; the connection goes on", name)


def _drop(attempt: asyncio.Task[Link]) -> None:
    """Ends what an attempt brought that nobody wants any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().drop()
