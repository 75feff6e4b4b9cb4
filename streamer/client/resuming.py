"""What a new connection sends for the requests that waited on the old one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from streamer.client.errors import Overloaded, RateLimited, RequestFailed
from streamer.client.handle import RequestHandle
from streamer.client.link import Link
from streamer.client.messages import encode_request
from streamer.client.pending import PendingRequests
from streamer.core.clock import Clock
from streamer.core.ids import new_id

_ASK_AGAIN: Final = 1.0
_TURN: Final = 10.0
"""Seconds that others wait at most for the answer to a request that is sent alone."""


class Resumption:
    """Sends requests: those that the service has stored are resumed, the others are sent (again).

    Requests that may be what ended the last connection are sent one by one, each when the one before was answered, and
    the others after them. So the next end of a connection names its cause.

    Args:
        pending: the requests that wait.
        current: the connection that is open now, if one is.
        clock: where time comes from.
    """

    def __init__(self, pending: PendingRequests, current: Callable[[], Link | None], clock: Clock) -> None:
        self._pending = pending
        self._current = current
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._line: deque[RequestHandle] = deque()
        self._alone: RequestHandle | None = None
        """The suspect that was sent last; it stays so when its connection ends."""

    def all(self, link: Link) -> None:
        """Sends a new connection everything that waits, in the order in which it was asked for."""
        last, self._alone = self._alone, None
        waiting = self._pending.forget_abandoned()
        suspects = [handle for handle in waiting if handle.attempts.suspect]
        # The one that was just sent when the connection ended is the likeliest. A stored one is under way after its
        # turn too and would be suspected again, so those that end with their answer come before.
        suspects.sort(key=lambda handle: (handle is not last, handle.text is None))
        self._line = deque([*suspects, *(handle for handle in waiting if not handle.attempts.suspect)])
        self._advance(link)

    def send(self, handle: RequestHandle, link: Link) -> None:
        """Sends one more request, as soon as no other one is to be alone."""
        if self._alone is None:
            self._send(handle, link)
        else:
            self._line.append(handle)

    async def stop(self) -> None:
        """Ends what waits to be asked again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def forget(self) -> None:
        """The loop of what waits has ended, or is another process's."""
        self._tasks.clear()
        self._line.clear()
        self._alone = None

    def later(self, handle: RequestHandle, seconds: float | None, link: Link | None = None) -> None:
        """Sends the request once more, after so many seconds."""
        self._spawn(self._again(handle, link or self._current(), seconds))

    def _advance(self, link: Link) -> None:
        while self._line:
            handle = self._line.popleft()
            if handle.done:
                continue
            awaited = self._send(handle, link)
            if handle.attempts.suspect:
                self._alone = handle
                self._spawn(self._end_turn(handle, link))
                awaited.when_answered(partial(self._turn_over, handle, link))
                return
        self._alone = None

    def _turn_over(self, handle: RequestHandle, link: Link) -> None:
        if self._alone is handle and self._current() is link:
            handle.attempts.suspect = False
            self._advance(link)

    async def _end_turn(self, handle: RequestHandle, link: Link) -> None:
        await self._clock.sleep(_TURN)
        self._turn_over(handle, link)

    def _send(self, handle: RequestHandle, link: Link) -> RequestHandle:
        """Returns the one that is answered: the request itself, or the question after it."""
        handle.attempts.begin()
        if handle.text is None:
            return self._ask(handle, link)
        handle.sends += 1
        link.send(handle.text)
        return handle

    def _ask(self, handle: RequestHandle, link: Link) -> RequestHandle:
        """Asks for the state of one stored request, and for all that is still to come of it."""
        payload: dict[str, Any] = {"request_id": handle.id}
        if handle.seq >= 0:
            payload["after_seq"] = handle.seq
        asked_id = new_id("req_")
        text = encode_request(asked_id, "streamer.resume", payload, None, None)
        # Not to be sent again: the next connection asks anew, with the newer seq.
        asked = RequestHandle(asked_id, text, resend=False, helper=True)
        self._pending.add(asked)
        asked.when_answered(partial(self._answered, handle, asked, link))
        link.send(text)
        return asked

    def _answered(self, handle: RequestHandle, asked: RequestHandle, link: Link) -> None:
        error = asked.error
        if error is None:
            handle.stored()
        elif isinstance(error, RateLimited | Overloaded):
            self.later(handle, error.retry_after, link)
        elif isinstance(error, RequestFailed) and not handle.done:
            error.request_id = handle.id
            self._pending.end(handle, error)

    async def _again(self, handle: RequestHandle, link: Link | None, seconds: float | None) -> None:
        await self._clock.sleep(_ASK_AGAIN if seconds is None else seconds)
        # On another connection all has been asked anew.
        if link is not None and self._current() is link and not handle.done:
            self._send(handle, link)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
