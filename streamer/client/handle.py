"""The handle of a request that waits for its answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final

from streamer.client.errors import request_failed
from streamer.client.messages import TERMINAL, Inbound, progress_update
from streamer.core.errors import StreamerError
from streamer.core.messages import ProgressUpdate, Result

_UNREAD_UPDATES: Final = 1000


class RequestHandle:
    """A request in progress; `StreamerClient.submit` returns it.

    `async for update in handle` yields a `ProgressUpdate` for each report and stops when the request has ended in any
    way; `result()` returns the outcome. Unread reports are kept, at most the newest thousand. Several tasks may wait on
    one handle; each report goes to one of those that iterate. `await handle` is `await handle.result()`.

    Args:
        request_id: the request's id.
        text: the message as it was sent; None when the service has already stored the request.
        resend: whether the message may be sent again when the service has not answered the first one.
        patient: whether it is sent again when the service refuses it temporarily.
        canceller: asks the service to cancel the request.
    """

    def __init__(
        self,
        request_id: str,
        text: bytes | None = None,
        *,
        resend: bool = True,
        patient: bool = False,
        canceller: Callable[[RequestHandle], RequestHandle] | None = None,
    ) -> None:
        self._id = request_id
        self.text = text
        """The text to send again on a new connection; None once the service has stored the request."""
        self.resend = resend
        """Whether `text` may be sent again."""
        self.patient = patient
        """Whether to send again after a temporary refusal."""
        self.on_message: Callable[[bytes], None] | None = None
        """Called with the text of each message of this request, before anything else."""
        self._loop = _running_loop()
        self._canceller = canceller
        self._seq = -1
        self._queued = False
        self._ending: Result | StreamerError | None = None
        self._updates: deque[ProgressUpdate] = deque(maxlen=_UNREAD_UPDATES)
        self._waiters: list[asyncio.Future[None]] = []
        self._when_answered: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        state = "ended" if self.done else "queued" if self._queued else "sent"
        return f"<RequestHandle {self._id!r}, {state}>"

    @property
    def id(self) -> str:
        """The request's id, for querying its status on this or a later connection."""
        return self._id

    @property
    def done(self) -> bool:
        """Whether it has ended: with a result, an error, or the loss of the connection."""
        return self._ending is not None

    @property
    def answered(self) -> bool:
        """Whether the service has answered in any way."""
        return self._queued or self.done

    @property
    def seq(self) -> int:
        """The number of the newest message of this request; -1 before the first."""
        return self._seq

    @property
    def error(self) -> StreamerError | None:
        """The error of the request, if it has failed."""
        return self._ending if isinstance(self._ending, StreamerError) else None

    def cancel(self) -> RequestHandle:
        """Asks the service to cancel the request: immediately if it is queued, otherwise as soon as it is.

        Awaiting is optional. `await handle.cancel()` waits for the service's answer, an object with `request_id` and
        `status`. The request itself then ends with `Cancelled`, a running one once its handler has stopped.

        Raises:
            Conflict: when awaited: it has already ended.
            NotFound: when awaited: the service does not know it, or no longer does.
            ConnectionLost: when awaited: the connection ended permanently.
        """
        assert self._canceller is not None, "the client gives every handle its canceller"
        return self._canceller(self)

    async def acknowledged(self) -> bool:
        """Waits for the service's first answer. True: the request is stored durably and will run. False: it was
        answered directly.

        Raises:
            RequestFailed: it was refused.
            ConnectionLost: the connection ended first.
        """
        while not self.answered:
            await self._change()
        if self._queued:
            return True
        await self.outcome()
        return False

    async def result(self) -> Any:
        """Waits for the outcome and returns the result's data.

        Raises:
            RequestFailed: the request failed.
            ConnectionLost: the connection ended first.
        """
        return (await self.outcome()).data

    async def outcome(self) -> Result:
        """As `result`, with the metadata that the handler added to the data."""
        while self._ending is None:
            await self._change()
        if isinstance(self._ending, StreamerError):
            raise self._ending
        return self._ending

    def __await__(self) -> Generator[Any, None, Any]:
        """As `result`."""
        return self.result().__await__()

    async def __aiter__(self) -> AsyncGenerator[ProgressUpdate, None]:
        """Each progress report, in order, until the end."""
        while True:
            while self._updates:
                yield self._updates.popleft()
            if self._ending is not None:
                return
            await self._change()

    def receive(self, message: Inbound, text: bytes = b"") -> None:
        """Handles one message of this request, newer than the last one. Ignores unknown types.

        Args:
            message: its relevant fields.
            text: the whole message.
        """
        kind = message.type
        if message.seq is not None:
            self._seq = message.seq
            self._queued, self.text = True, None
        if self.on_message is not None:
            self.on_message(text)
        if kind == "progress":
            self._updates.append(progress_update(message))
        elif kind == "acknowledgment":
            self._queued, self.text = True, None
        elif kind in TERMINAL:
            self.end(_ending(message))
            return
        self._wake()

    def end(self, ending: Result | StreamerError) -> None:
        """No more messages will arrive."""
        if self._ending is None:
            self._ending = ending
            self._wake()

    def confirm(self) -> None:
        """The service has stored the request, though it sent no message about it."""
        self._queued = True
        self._wake()

    def when_answered(self, call: Callable[[], None]) -> None:
        """Calls the function once the service has answered in any way, immediately if it already has."""
        if self.answered:
            call()
        else:
            self._when_answered.append(call)

    def release(self) -> None:
        """Runs the callbacks that wait for the first answer."""
        calls, self._when_answered = self._when_answered, []
        for call in calls:
            call()

    async def _change(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise RuntimeError(f"Request {self._id!r} belongs to another event loop; await it there")
        # A future for each waiter: a shared one would be cancelled for all by the first waiter that is cancelled.
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        if self._when_answered and self.answered:
            self.release()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _ending(message: Inbound) -> Result | StreamerError:
    if message.type == "error":
        return request_failed(message.error, message.request_id)
    data = message.data if message.type == "response" else message.result
    if message.success is True:
        return Result(data=data, metadata=message.metadata if isinstance(message.metadata, dict) else None)
    return request_failed(message.error, message.request_id, data)
