"""The client: many requests at once over one connection."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from ssl import SSLContext
from typing import Any, Self

from streamer.client.address import address
from streamer.client.errors import ConnectionLost
from streamer.client.handle import RequestHandle
from streamer.client.link import Link, open_link
from streamer.client.messages import encode_request
from streamer.client.pending import PendingRequests
from streamer.core.ids import new_id
from streamer.core.messages import ProgressUpdate, Result

OnProgress = Callable[[ProgressUpdate], Any]


class StreamerClient:
    """A client of one service, over one WebSocket connection. Use it with `async with`, from one event loop.

    Args:
        url: `ws://` or `wss://`, with the service's path (`ws://127.0.0.1:8080/ws`).
        client_id: a secret that makes the requests this client's own, over all its connections: keep it and give it
            again to ask for them later. Left out: a new one is made; `client_id` tells it.
        headers: more headers for the upgrade, such as `Authorization`.
        ssl: for `wss://`; None trusts what the system trusts.
        open_timeout: seconds for TCP and TLS, and as many again for the upgrade.
        ping_interval: seconds of silence before the connection is tested by a ping, which must be answered within
            as many seconds, at most 20; None never tests.
        max_message_size: bytes of one message that the client will take.
    """

    def __init__(
        self,
        url: str,
        client_id: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        ssl: SSLContext | None = None,
        open_timeout: float = 10.0,
        ping_interval: float | None = 30.0,
        max_message_size: int = 16 * 1024 * 1024,
    ) -> None:
        self._address = address(url, client_id)
        self._headers = dict(headers or {})
        for name, value in self._headers.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"Header {name!r} must be strings, name and value; it is {value!r}")
        self._ssl = ssl
        self._open_timeout = open_timeout
        self._ping_interval = ping_interval
        self._max_message_size = max_message_size
        self._link: Link | None = None
        self._lost: tuple[int, str] = (1000, "it was never opened")
        self._pending = PendingRequests()

    def __repr__(self) -> str:
        return f"<StreamerClient {self.url}, {'open' if self.connected else 'closed'}>"

    @property
    def url(self) -> str:
        """The service's address, without its query."""
        return self._address.shown

    @property
    def client_id(self) -> str:
        """The secret that makes this client's requests its own."""
        return self._address.client_id

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._link is not None

    async def connect(self) -> None:
        """Opens the connection; `async with` does it. Does nothing while it is open.

        Raises:
            ConnectionFailed: the service cannot be reached, or refused.
        """
        if self._link is None:
            link = await open_link(
                lambda: Link(self._pending.receive, self._ended, self._max_message_size),
                self._address.url,
                shown=self.url,
                headers=self._headers,
                ssl=self._ssl,
                open_timeout=self._open_timeout,
                ping_interval=self._ping_interval,
                max_message_size=self._max_message_size,
            )
            if not link.ended:
                self._link = link

    async def close(self) -> None:
        """Ends the connection. Requests that still wait raise ConnectionLost; those that are queued go on."""
        if self._link is not None:
            await self._link.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def submit(
        self,
        action: str,
        payload: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's own name
        metadata: Mapping[str, str] | None = None,
        wait: str | float | None = None,
    ) -> RequestHandle:
        """Sends a request and returns at once; the handle waits for what comes of it.

        Args:
            action: what to do.
            payload: JSON values; dataclasses and msgspec Structs pass as objects.
            id: the request's name, unique for this `client_id`. The same id with the same action and payload is the
                same queued request, stored once: give your own to be safe to send again.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer (`"2s"`, or seconds) before the request is queued; 0 queues it.

        Raises:
            ConnectionLost: the connection has ended.
            TypeError: the payload has no JSON form.
            ValueError: a request with this id is already waiting on this connection.
        """
        request_id = id or new_id("req_")
        text = encode_request(request_id, action, payload, metadata, wait)
        if self._link is not None and self._link.full:
            await self._link.room()
        if self._link is None:
            raise ConnectionLost(self.url, *self._lost)
        handle = self._pending.add(request_id)
        self._link.send(text)
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
    ) -> Any:
        """Sends a request, waits for its end and returns the result's data.

        To cancel the waiting task only stops the waiting; a queued request goes on.

        Args:
            action: as for `submit`, and so are `payload`, `id`, `metadata` and `wait`.
            payload: JSON values.
            on_progress: called on the loop with each report of progress, in order; a coroutine function is awaited.
                What it raises comes out of `request`.
            id: the request's name.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer.
            timeout: seconds until TimeoutError.

        Raises:
            RequestFailed: the service said no, or the handler failed.
            ConnectionLost: the connection ended first.
            TimeoutError: it took longer than `timeout`; the message names the request.
        """
        request_id = id or new_id("req_")
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                handle = await self.submit(action, payload, id=request_id, metadata=metadata, wait=wait)
                try:
                    return await _follow(handle, on_progress)
                finally:
                    handle.abandoned = True
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
    ) -> AsyncGenerator[ProgressUpdate | Result, None]:
        """Sends a request and yields what comes of it: a `ProgressUpdate` for each report, then one `Result`.

        Args:
            action: as for `submit`, and so are the others.
            payload: JSON values.
            id: the request's name.
            metadata: strings that the handler may read.
            wait: how long to wait for a direct answer.

        Raises:
            RequestFailed: the service said no, or the handler failed.
            ConnectionLost: the connection ended first.
        """
        handle = await self.submit(action, payload, id=id, metadata=metadata, wait=wait)
        try:
            async for update in handle:
                yield update
            yield await handle.outcome()
        finally:
            handle.abandoned = True

    async def ping(self) -> Any:
        """Asks the service for a sign of life: `pong` and its time."""
        return await self.request("streamer.ping")

    async def actions(self) -> list[dict[str, Any]]:
        """What this caller may ask for: for each action its name (`action`), description, schema, estimate in seconds
        and whether it is queued.
        """
        told: dict[str, list[dict[str, Any]]] = await self.request("streamer.actions")
        return told["actions"]

    async def status(self, request_id: str) -> Any:
        """Where one of this client's queued requests is: state, attempt, percentage, times, and its result once ended.

        Raises:
            NotFound: no such request, or another client's.
        """
        return await self.request("streamer.status", {"request_id": request_id})

    def _ended(self, code: int, reason: str) -> None:
        self._link = None
        self._lost = (code, reason)
        self._pending.lose(self.url, code, reason)


async def _follow(handle: RequestHandle, on_progress: OnProgress | None) -> Any:
    if on_progress is not None:
        async with contextlib.aclosing(aiter(handle)) as updates:
            async for update in updates:
                answer = on_progress(update)
                if inspect.isawaitable(answer):
                    await answer
    return await handle.result()
