"""Sends requests to a service over the current connection."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from streamer.client.canceller import Canceller
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
        connection: sends them.
        resend: whether a request may be sent again after a break, unless it specifies this itself.
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
        """Sends a request and returns immediately; the handle waits for its answers.

        Without a connection, the request waits for one.

        Args:
            action: the name of the action.
            payload: JSON values; dataclasses and msgspec Structs are sent as objects.
            id: the request's id, unique for this `client_id`. The same id with the same action and payload is the same
                queued request, stored once: choose your own id to make sending again safe.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer (`"2s"`, or seconds) before the request is queued; 0 queues it at
                once.
            resend: whether it may be sent again after a break; None uses the client's option.

        Raises:
            ConnectionLost: the connection has ended permanently.
            ConnectionFailed: the service refuses the next connection.
            RuntimeError: the client belongs to another event loop.
            TypeError: the payload has no JSON form, or the id is not a string.
            ValueError: a request with this id is already waiting on this connection, or the id is invalid.
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
        """A handle for a queued request of this `client_id` from another connection, or from an earlier process. It
        first gets the newest report, then all that follow, and the outcome.

        Raises:
            NotFound: no such request, or another client's.
            ConnectionLost: the connection has ended permanently.
            ConnectionFailed: the service refuses the next connection.
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

        If the waiting task is cancelled, a queued request is cancelled too, if that is possible without waiting. After
        a timeout the request continues.

        Args:
            action: as for `submit`, and so are `payload`, `id`, `metadata`, `wait` and `resend`.
            payload: JSON values.
            on_progress: called on the loop with each progress report, in order; a coroutine function is awaited.
                `request` raises its exceptions.
            id: the request's id.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer.
            timeout: seconds until TimeoutError, including the time to connect.
            resend: whether it may be sent again after a break.

        Raises:
            RequestFailed: the service refused the request, or the handler failed.
            MessageTooLarge: the request, or its answer, exceeds the limit for one message.
            ConnectionLost: the connection ended permanently before; NotAnswered: repeatedly, because of this request.
            ConnectionFailed: the service refused the next connection.
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
                f"if it was queued, it continues: ask status({request_id!r})"
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
        """Sends a request and yields a `ProgressUpdate` for each report, then one `Result`.

        Leaving the iteration early only stops the waiting; a queued request continues.

        Args:
            action: as for `submit`, and so are the others.
            payload: JSON values.
            id: the request's id.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer.
            resend: whether it may be sent again after a break.

        Raises:
            RequestFailed: the service refused the request, or the handler failed.
            MessageTooLarge: the request, or its answer, exceeds the limit for one message.
            ConnectionLost: the connection ended permanently before; NotAnswered: repeatedly, because of this request.
            ConnectionFailed: the service refused the next connection.
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
