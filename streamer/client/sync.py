"""The client for code without an event loop."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from ssl import SSLContext
from typing import Any, Self

from streamer.client.client import StreamerClient
from streamer.client.connection_errors import ConnectionFailed, ConnectionLost
from streamer.client.handle import RequestHandle
from streamer.client.machine.state import CLOSED_HERE
from streamer.client.state import ConnectionState
from streamer.client.threads import LoopThread, ThreadedFunction
from streamer.client.tokens import Token
from streamer.core.clock import Clock
from streamer.core.messages import ProgressUpdate, Result

_Actions = list[dict[str, Any]]


class SyncStreamerClient:
    """The blocking counterpart of `StreamerClient`, with the same arguments, methods and errors. Use it with `with`.

    A separate thread runs the connection. Any thread can make requests, many at a time; each blocks only its caller.
    `on_progress` is called in the caller's thread; if it raises, or on Ctrl-C, a queued request is cancelled.
    `on_reconnect`, `on_state_change` and a coroutine function as `token` run in the connection's thread, and must not
    use the client. A plain function as `token` may block, since it runs in a thread of its own.

    A fork copies neither the thread nor the connection: in the new process, every use of a client that was open raises
    RuntimeError. Create a new client in each process.
    """

    def __init__(
        self,
        url: str,
        client_id: str | None = None,
        *,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
        ssl: SSLContext | None = None,
        open_timeout: float = 10.0,
        ping_interval: float | None = 30.0,
        max_message_size: int = 16 * 1024 * 1024,
        reconnect: bool = True,
        max_reconnect_delay: float = 30.0,
        resend: bool = True,
        on_reconnect: Callable[[], Any] | None = None,
        on_state_change: Callable[[ConnectionState], Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._client = _Client(
            url,
            client_id,
            token=_not_blocking(token),
            headers=headers,
            ssl=ssl,
            open_timeout=open_timeout,
            ping_interval=ping_interval,
            max_message_size=max_message_size,
            reconnect=reconnect,
            max_reconnect_delay=max_reconnect_delay,
            resend=resend,
            on_reconnect=on_reconnect,
            on_state_change=on_state_change,
            clock=clock,
        )
        self._starting = threading.Lock()
        self._thread: LoopThread | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<SyncStreamerClient {self.url}, {'open' if self.connected else 'closed'}>"

    @property
    def url(self) -> str:
        """The service's address, without its query."""
        return self._client.url

    @property
    def client_id(self) -> str:
        """The secret that identifies the owner of this client's requests."""
        return self._client.client_id

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._client.connected

    def connect(self) -> None:
        """As `StreamerClient.connect`; `with` calls it.

        Raises:
            ConnectionFailed: the service cannot be reached, or refused the connection.
        """
        self._closed = False
        thread = self._running()
        thread.check()
        try:
            thread.run(self._client.connect())
        except ConnectionFailed:
            self._let_go(thread)
            raise
        except BaseException:
            self.close()
            raise

    def _let_go(self, thread: LoopThread) -> None:
        """Ends an unused thread. The next use starts another one."""
        with self._starting:
            if self._thread is not thread or not thread.run(self._client.leave()):
                return
            self._thread = None
        thread.stop()

    def close(self) -> None:
        """Closes the connection and ends its thread. Waiting requests raise ConnectionLost."""
        thread = self._thread
        if thread is not None and not thread.gone:
            thread.check()
        self._closed = True
        self._thread = None
        if thread is not None and not thread.gone:
            try:
                thread.run(self._client.close())
            finally:
                thread.stop()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def submit(
        self,
        action: str,
        payload: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's own name
        metadata: Mapping[str, str] | None = None,
        wait: str | float | None = None,
        resend: bool | None = None,
    ) -> SyncRequestHandle:
        """As `StreamerClient.submit`."""
        thread = self._running()
        handle = thread.run(self._client.submit(action, payload, id=id, metadata=metadata, wait=wait, resend=resend))
        return SyncRequestHandle(handle, thread)

    def request(
        self,
        action: str,
        payload: Any = None,
        *,
        on_progress: Callable[[ProgressUpdate], Any] | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
        metadata: Mapping[str, str] | None = None,
        wait: str | float | None = None,
        timeout: float | None = None,
        resend: bool | None = None,
    ) -> Any:
        """As `StreamerClient.request`. `on_progress` is a plain function and is called in this thread."""
        thread = self._running()
        options: dict[str, Any] = {"id": id, "metadata": metadata, "wait": wait, "timeout": timeout, "resend": resend}
        if on_progress is None:
            return thread.run(self._client.request(action, payload, **options))
        return thread.run_reporting(
            lambda put: self._client.request(action, payload, on_progress=put, **options), on_progress
        )

    def stream(
        self,
        action: str,
        payload: Any = None,
        *,
        id: str | None = None,  # noqa: A002 - the field's own name
        metadata: Mapping[str, str] | None = None,
        wait: str | float | None = None,
        resend: bool | None = None,
    ) -> Iterator[ProgressUpdate | Result]:
        """As `StreamerClient.stream`: a `ProgressUpdate` for each report, then one `Result`."""
        return self._running().iterate(
            self._client.stream(action, payload, id=id, metadata=metadata, wait=wait, resend=resend)
        )

    def resume(self, request_id: str) -> SyncRequestHandle:
        """As `StreamerClient.resume`."""
        thread = self._running()
        return SyncRequestHandle(thread.run(self._client.resume(request_id)), thread)

    def authenticate(self, token: str | None = None) -> Any:
        """As `StreamerClient.authenticate`."""
        return self._running().run(self._client.authenticate(token))

    def ping(self) -> Any:
        """As `StreamerClient.ping`."""
        return self.request("streamer.ping")

    def actions(self) -> _Actions:
        """As `StreamerClient.actions`."""
        return self._running().run(self._client.actions())

    def status(self, request_id: str) -> Any:
        """As `StreamerClient.status`."""
        return self.request("streamer.status", {"request_id": request_id})

    def list(self, status: str | None = None, limit: int | None = None, cursor: str | None = None) -> Any:
        """As `StreamerClient.list`."""
        return self._running().run(self._client.list(status, limit, cursor))

    def cancel(self, request_id: str) -> Any:
        """As `StreamerClient.cancel`."""
        return self._running().run(self._client.cancel(request_id))

    def _running(self) -> LoopThread:
        thread = self._thread
        if thread is None:
            with self._starting:
                if self._closed:
                    raise ConnectionLost(self.url, *CLOSED_HERE)
                thread = self._thread = self._thread or LoopThread()
        return thread


class _Client(StreamerClient):
    """Uses one loop after the other."""

    async def leave(self) -> bool:
        """As `Connection.leave`."""
        return self._connection.leave()


def _not_blocking(token: Token | None) -> Token | None:
    if not callable(token) or inspect.iscoroutinefunction(token):
        return token
    return ThreadedFunction(token)


class SyncRequestHandle:
    """The blocking counterpart of `RequestHandle`, usable while its client is open."""

    def __init__(self, handle: RequestHandle, thread: LoopThread) -> None:
        self._handle = handle
        self._thread = thread

    def __repr__(self) -> str:
        return repr(self._handle)

    @property
    def id(self) -> str:
        """The request's id."""
        return self._handle.id

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._handle.done

    def cancel(self) -> Any:
        """As `RequestHandle.cancel`, awaited."""
        return self._thread.run(self._cancel())

    async def _cancel(self) -> Any:
        return await self._handle.cancel()

    def acknowledged(self) -> bool:
        """As `RequestHandle.acknowledged`."""
        return self._thread.run(self._handle.acknowledged())

    def result(self) -> Any:
        """As `RequestHandle.result`."""
        return self._thread.run(self._handle.result())

    def outcome(self) -> Result:
        """As `RequestHandle.outcome`."""
        return self._thread.run(self._handle.outcome())

    def __iter__(self) -> Iterator[ProgressUpdate]:
        """Each progress report, in order, until the end."""
        return self._thread.iterate(aiter(self._handle))
