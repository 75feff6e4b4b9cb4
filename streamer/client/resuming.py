"""What a new connection is told of the requests that waited on the old one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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


class Resumption:
    """Resumes the requests that the service has stored and sends the others again.

    Args:
        pending: the requests that wait.
        current: the connection that stands now, if one does.
        clock: where time comes from.
    """

    def __init__(self, pending: PendingRequests, current: Callable[[], Link | None], clock: Clock) -> None:
        self._pending = pending
        self._current = current
        self._clock = clock
        self._later: set[asyncio.Task[None]] = set()

    def all(self, link: Link) -> None:
        """Tells a new connection of everything that waits, in the order in which it was asked for."""
        for handle in self._pending.forget_abandoned():
            self._tell(handle, link)

    def one(self, handle: RequestHandle, link: Link) -> None:
        """Asks for the state of one stored request, and for all that is still to come of it."""
        payload: dict[str, Any] = {"request_id": handle.id}
        if handle.seq >= 0:
            payload["after_seq"] = handle.seq
        asked_id = new_id("req_")
        text = encode_request(asked_id, "streamer.resume", payload, None, None)
        # Not to be sent again: the next connection asks anew, with the newer seq.
        asked = RequestHandle(asked_id, text, resend=False)
        self._pending.add(asked)
        asked.when_answered(partial(self._answered, handle, asked, link))
        link.send(text)

    async def stop(self) -> None:
        """Ends what waits to be asked again."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)

    def _answered(self, handle: RequestHandle, asked: RequestHandle, link: Link) -> None:
        error = asked.error
        if error is None:
            handle.stored()
        elif isinstance(error, RateLimited | Overloaded):
            self.later(handle, error.retry_after, link)
        elif isinstance(error, RequestFailed) and not handle.done:
            error.request_id = handle.id
            self._pending.end(handle, error)

    def later(self, handle: RequestHandle, seconds: float | None, link: Link | None = None) -> None:
        """Tells the connection that stands of the request once more, after so many seconds."""
        task = asyncio.get_running_loop().create_task(self._again(handle, link or self._current(), seconds))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _again(self, handle: RequestHandle, link: Link | None, seconds: float | None) -> None:
        await self._clock.sleep(_ASK_AGAIN if seconds is None else seconds)
        # On another connection all has been asked anew.
        if link is not None and self._current() is link and not handle.done:
            self._tell(handle, link)

    def _tell(self, handle: RequestHandle, link: Link) -> None:
        if handle.text is None:
            self.one(handle, link)
        else:
            handle.sends += 1
            link.send(handle.text)
