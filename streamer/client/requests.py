"""What a client asks of a service, over whichever connection there is."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from streamer.client.cancelling import Canceller
from streamer.client.connection import Connection
from streamer.client.handle import RequestHandle
from streamer.client.messages import encode_request
from streamer.client.options import checked_id, checked_timeout, checked_wait
from streamer.client.own_actions import OwnActions
from streamer.core.ids import new_id
from streamer.core.messages import ProgressUpdate, Result

OnProgress = Callable[[ProgressUpdate], Any]


class Requests(OwnActions):
    """The part of `StreamerClient` that makes requests.

    Args:
        connection: carries them.
        resend: whether a request may be sent again after a break, where it does not say so itself.
    """

    def __init__(self, connection: Connection, *, resend: bool) -> None:
        self._connection = connection
        self._resend = resend
        self._cancel = Canceller(connection.send)

    async def submit(
        self,
        action: str,
        payload: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's own name
        metadata: Mapping[str, str] | None = None,
        wait: str | float | None = None,
        resend: bool | None = None,
    ) -> RequestHandle:
        """Sends a request and returns at once; the handle waits for what comes of it.

        While there is no connection, it waits for one.

        Args:
            action: what to do.
            payload: JSON values; dataclasses and msgspec Structs pass as objects.
            id: the request's name, unique for this `client_id`. The same id with the same action and payload is the
                same queued request, stored once: give your own to be safe to send again.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer (`"2s"`, or seconds) before the request is queued; 0 queues it.
            resend: whether it may be sent again after a break; None is as the client says.

        Raises:
            ConnectionLost: the connection has ended for good.
            ConnectionFailed: the service refuses the next one.
            RuntimeError: the client belongs to another event loop.
            TypeError: the payload has no JSON form, or the id is no string.
            ValueError: a request with this id is already waiting on this connection, or no request can have it.
        """
        request_id = checked_id(id) if id else new_id("req_")
        text = encode_request(request_id, action, payload, metadata, checked_wait(wait))
        await self._connection.ready()
        handle = RequestHandle(
            request_id, text, resend=self._resend if resend is None else resend, canceller=self._cancel
        )
        self._connection.send(handle)
        return handle

    async def resume(self, request_id: str) -> RequestHandle:
        """A handle for a queued request of this `client_id` that was made on another connection, or by a process
        before this one. Its newest report comes first, then all that follow, and its end.

        Raises:
            NotFound: no such request, or another client's.
            ConnectionLost: the connection has ended for good.
            ConnectionFailed: the service refuses the next one.
        """
        await self._connection.ready()
        handle = self._connection.find(request_id)
        if handle is None:
            handle = RequestHandle(request_id, canceller=self._cancel)
            self._connection.send(handle)
            try:
                await handle.acknowledged()
            except asyncio.CancelledError:
                self._connection.abandon(handle)
                raise
        return handle

    async def request(
        self,
        action: str,
        payload: Any = None,
        *,
        on_progress: OnProgress | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
        metadata: Mapping[str, str] | None = None,
        wait: str | float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the error must name the request
        resend: bool | None = None,
    ) -> Any:
        """Sends a request, waits for its end and returns the result's data.

        To cancel the waiting task cancels a queued request too, as well as can be done without waiting. After a
        timeout it goes on.

        Args:
            action: as for `submit`, and so are `payload`, `id`, `metadata`, `wait` and `resend`.
            payload: JSON values.
            on_progress: called on the loop with each report of progress, in order; a coroutine function is awaited.
                What it raises comes out of `request`.
            id: the request's name.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer.
            timeout: seconds until TimeoutError; they include the waiting for a connection.
            resend: whether it may be sent again after a break.

        Raises:
            RequestFailed: the service said no, or the handler failed.
            MessageTooLarge: the request, or what came of it, is over the limit of one message.
            ConnectionLost: the connection ended first, for good; NotAnswered: again and again because of this request.
            ConnectionFailed: the service refused the next one.
            TimeoutError: it took longer than `timeout`; the message names the request.
        """
        request_id = checked_id(id) if id else new_id("req_")
        deadline = asyncio.timeout(checked_timeout(timeout))
        try:
            async with deadline:
                handle = await self.submit(action, payload, id=request_id, metadata=metadata, wait=wait, resend=resend)
                try:
                    return await _follow(handle, on_progress)
                except asyncio.CancelledError:
                    if not deadline.expired():
                        handle.cancel()
                        self._connection.abandon(handle, cancel=True)
                    raise
                finally:
                    self._connection.abandon(handle)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise TimeoutError(
                f"Request {request_id!r} ({action}) did not end within {timeout:g} s; "
                f"if it was queued it goes on: ask status({request_id!r})"
            ) from error

    async def stream(
        self,
        action: str,
        payload: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's own name
        metadata: Mapping[str, str] | None = None,
        wait: str | float | None = None,
        resend: bool | None = None,
    ) -> AsyncGenerator[ProgressUpdate | Result, None]:
        """Sends a request and yields what comes of it: a `ProgressUpdate` for each report, then one `Result`.

        To leave it early only stops the waiting; a queued request goes on.

        Args:
            action: as for `submit`, and so are the others.
            payload: JSON values.
            id: the request's name.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer.
            resend: whether it may be sent again after a break.

        Raises:
            RequestFailed: the service said no, or the handler failed.
            MessageTooLarge: the request, or what came of it, is over the limit of one message.
            ConnectionLost: the connection ended first, for good; NotAnswered: again and again because of this request.
            ConnectionFailed: the service refused the next one.
        """
        handle = await self.submit(action, payload, id=id, metadata=metadata, wait=wait, resend=resend)
        try:
            async for update in handle:
                yield update
            yield await handle.outcome()
        finally:
            self._connection.abandon(handle)


async def _follow(handle: RequestHandle, on_progress: OnProgress | None) -> Any:
    if on_progress is not None:
        async with contextlib.aclosing(aiter(handle)) as updates:
            async for update in updates:
                answer = on_progress(update)
                if inspect.isawaitable(answer):
                    await answer
    return await handle.result()
