"""The client's connection, including reconnects: passes events to the state machine and executes its effects."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from streamer.client.client_socket import ClientSocket
from streamer.client.connection_errors import ConnectionLost
from streamer.client.current_socket import CurrentSocket, OpenLink
from streamer.client.endings import error_of
from streamer.client.handle import RequestHandle
from streamer.client.home import Home
from streamer.client.machine import Interest, Options, Phase, State, effects, events, next_state
from streamer.client.machine.state import CLOSED_HERE, Break
from streamer.client.messages import encode_resume
from streamer.client.reports import Reports
from streamer.client.state import ConnectionState
from streamer.client.waiters import Timers, Waiters
from streamer.core.clock import Clock

_SECOND: Final = 1000
"""In milliseconds, the unit of the state machine."""


class Connection:
    """The connection: open, interrupted, or closed.

    Args:
        url: for messages.
        open_socket: opens a socket, given a factory for the listener. Raises ConnectionFailed.
        options: of the state machine.
        max_message_size: maximum bytes of a message that each socket accepts.
        on_open: called when a socket is open.
        on_end: called when it has ended.
        on_reconnect: called each time the connection is open again.
        on_state_change: called with each change.
        clock: the source of time.
    """

    def __init__(
        self,
        url: str,
        open_socket: OpenLink,
        options: Options,
        *,
        max_message_size: int,
        on_open: Callable[[], None],
        on_end: Callable[[], None],
        on_reconnect: Callable[[], Any] | None,
        on_state_change: Callable[[ConnectionState], Any] | None,
        clock: Clock,
    ) -> None:
        self._url = url
        self._max_message_size = max_message_size
        self._reports = Reports(url, on_reconnect, on_state_change)
        self._home = Home()
        self._current = CurrentSocket(
            url,
            open_socket,
            self._happened,
            max_message_size=max_message_size,
            on_open=on_open,
            on_end=on_end,
            clock=clock,
        )
        self._state = State(options)
        self._events: deque[tuple[events.Event, Any]] = deque()
        self._cause: Any = None
        """The origin of the current event: a message, or the error of a try."""
        self._at_work = False
        self._handles: dict[str, RequestHandle] = {}
        self._timers = Timers(clock)
        """Of the current epoch."""
        self._connecting = Waiters()
        self._waiting = Waiters()
        self._parting: ClientSocket | None = None

    @property
    def socket(self) -> ClientSocket | None:
        """The socket while it is open."""
        return self._current.socket

    async def connect(self) -> None:
        """Opens the connection, unless it is open.

        Raises:
            ConnectionFailed: the service cannot be reached, or refused the connection.
            ConnectionLost: it was closed meanwhile.
            RuntimeError: it belongs to another event loop.
        """
        self._home.check()
        self._happened(events.Connect())
        if self._state.phase is not Phase.CONNECTING:
            return
        try:
            await self._connecting.wait()
        except asyncio.CancelledError:
            if not self._connecting:
                self._happened(events.Withdraw())
            raise

    async def close(self) -> None:
        """Closes the connection, stops reconnecting, and fails all waiting requests."""
        if not self._home.leave():
            self._forget()
            return
        timers = self._timers.stop()
        self._happened(events.Close())
        await asyncio.gather(*timers, return_exceptions=True)
        socket, self._parting = self._parting, None
        if socket is not None:
            await socket.close()

    def leave(self) -> bool:
        """Allows another loop to use it, if it is not open and nothing waits for it; the next use opens it.

        Returns:
            whether this is allowed.
        """
        at_rest = self._state.phase in (Phase.IDLE, Phase.REFUSED, Phase.CLOSED) and not self._handles
        return at_rest and self._home.leave()

    async def ready(self) -> ClientSocket:
        """The socket, once it is open and accepts data. The first call opens it.

        Raises:
            ConnectionLost: it has ended and must not be opened again.
            ConnectionFailed: it cannot be opened (again).
            RuntimeError: it belongs to another event loop.
        """
        self._home.check()
        while True:
            if self.socket is not None:
                if not self.socket.full:
                    return self.socket
                await self.socket.room()
            elif self._state.lost is not None:
                raise ConnectionLost(self._url, self._state.lost.code, self._state.lost.reason)
            elif self._state.options.reconnect:
                self._happened(events.Wanted())
                await self._waiting.wait()
            else:
                await self.connect()

    def find(self, request_id: str) -> RequestHandle | None:
        """The handle that a caller waits on, if there is one."""
        request = self._state.requests.get(request_id)
        return None if request is None or request.interest is not Interest.AWAITED else self._handles.get(request_id)

    def send(self, handle: RequestHandle) -> None:
        """Sends a request, now or as soon as there is a connection; resumes one that the service has already stored.

        Raises:
            ValueError: a request with its id is already waiting.
        """
        if handle.id in self._handles and self.find(handle.id) is not None:
            raise ValueError(f"Request {handle.id!r} is already waiting on this connection; await its handle instead")
        self._handles[handle.id] = handle
        self._happened(
            events.Submitted(
                handle.id,
                size=len(handle.text or b""),
                stored=handle.text is None,
                resend=handle.resend,
                patient=handle.patient,
            )
        )

    def abandon(self, handle: RequestHandle, *, cancel: bool = False) -> None:
        """Forgets a request that no caller waits for; its id may be used again.

        Args:
            handle: of the request.
            cancel: whether to cancel it too, even if the connection breaks.
        """
        if self._handles.get(handle.id) is handle:
            self._happened(events.Abandoned(handle.id, cancel=cancel))

    def _happened(self, event: events.Event, cause: Any = None) -> None:
        """The only place that changes the state. Events that occur while effects are executed are queued."""
        if self._at_work:
            self._events.append((event, cause))
            return
        self._at_work = True
        try:
            self._carry_out(event, cause)
            while self._events:
                self._carry_out(*self._events.popleft())
        finally:
            self._at_work = False

    def _carry_out(self, event: events.Event, cause: Any) -> None:
        epoch = self._state.epoch
        self._state, todo = next_state(self._state, event)
        self._cause = cause
        if self._state.epoch != epoch:
            self._timers.stop()
        for effect in todo:
            self._do(effect)

    def _do(self, effect: effects.Effect) -> None:  # noqa: C901, PLR0912 - one arm for each effect
        match effect:
            case effects.Send():
                self._say(self._handles[effect.id].text)
            case effects.Ask():
                self._say(encode_resume(effect.question, effect.id, effect.seq))
            case effects.Deliver():
                self._deliver(self._handles[effect.id])
            case effects.Confirm():
                self._handles[effect.id].confirm()
            case effects.End():
                error = error_of(effect, self._url, self._max_message_size, self._cause)
                self._handles.pop(effect.id).end(error)
            case effects.Forget():
                handle = self._handles.pop(effect.id)
                if effect.sent:
                    handle.release()
            case effects.Later():
                self._start_timer(effect.delay, events.Again(effect.epoch, effect.id))
            case effects.Turn():
                self._start_timer(effect.delay, events.TurnOver(effect.epoch, effect.id))
            case effects.Dial():
                self._current.dial(effect.epoch)
            case effects.HangUp():
                self._hang_up(polite=effect.polite)
            case effects.Wait():
                self._wait(effect)
            case effects.Tried():
                closed = ConnectionLost(self._url, *CLOSED_HERE)
                self._connecting.settle((self._cause or closed) if effect.failed else None)
            case effects.Report():
                self._report(effect)
            case effects.Reopened():
                self._reports.reopened()
            case effects.Unclear():
                self._reports.unclear(effect.waiting, self._cause[1])

    def _say(self, text: bytes | None) -> None:
        assert self.socket is not None
        assert text is not None
        self.socket.send(text)

    def _deliver(self, handle: RequestHandle) -> None:
        handle.receive(*self._cause)
        if handle.done:
            del self._handles[handle.id]

    def _hang_up(self, *, polite: bool) -> None:
        socket = self._current.hang_up()
        if polite:
            self._parting = socket
        elif socket is not None:
            socket.drop()

    def _wait(self, effect: effects.Wait) -> None:
        delay = random.uniform(0, effect.longest)  # noqa: S311 - jitter is no secret
        self._start_timer(delay, events.Due(effect.epoch))
        self._reports.waiting(effect, delay / _SECOND)

    def _report(self, effect: effects.Report) -> None:
        if effect.phase in (Phase.OPEN, Phase.CLOSED):
            self._waiting.settle()
        elif effect.phase is Phase.REFUSED:
            self._waiting.settle(self._cause)
        self._reports.phase(effect)

    def _start_timer(self, delay: float, event: events.Event) -> None:
        self._timers.start(delay / _SECOND, lambda: self._happened(event))

    def _forget(self) -> None:
        """The loop of this connection has ended, or belongs to another process, together with all waiting requests."""
        self._parting = None
        self._current.forget()
        self._state = State(
            self._state.options, phase=Phase.CLOSED, epoch=self._state.epoch + 1, lost=Break(*CLOSED_HERE)
        )
        self._handles.clear()
        self._timers.forget()
        self._connecting.forget()
        self._waiting.forget()
