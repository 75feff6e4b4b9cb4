"""Messages of queued requests to the connections that are subscribed to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from streamer.contracts.connections import ConnectionManager
from streamer.contracts.stores import Key, RequestQueue
from streamer.core.clock import SystemClock
from streamer.core.coroutines import DONE
from streamer.core.errors import StoreError
from streamer.engine import refusals
from streamer.engine.awaited import Awaited, AwaitedAcknowledgments
from streamer.engine.background import BackgroundTasks
from streamer.engine.boundary import default_logger
from streamer.engine.codec import encode_error
from streamer.engine.delivery_tracker import DeliveryTracker
from streamer.engine.outbox import Outbox
from streamer.engine.outcomes import terminal_message
from streamer.engine.pacing import Pacing
from streamer.engine.sent_outcomes import SentOutcomes
from streamer.engine.subscribers import Subscribers
from streamer.engine.subscriptions import LocalSubscriptions

Make = Callable[[], bytes]
"""Encodes a message; called when there is somebody to send it to."""


class _Sending:
    """A `Send` of one message: encoded for the first connection, and the same for all others.

    Args:
        send: sends it to one connection.
        key: of its request.
        make: encodes it.
    """

    __slots__ = ("_data", "_key", "_make", "_send")

    def __init__(self, send: Callable[[Key, str, bytes], Awaitable[None]], key: Key, make: Make) -> None:
        self._send = send
        self._key = key
        self._make = make
        self._data: bytes | None = None

    def __call__(self, connection_id: str) -> Awaitable[None]:
        data = self._data
        if data is None:
            data = self._data = self._make()
        return self._send(self._key, connection_id, data)

    def data(self) -> bytes:
        """The message."""
        if self._data is None:
            self._data = self._make()
        return self._data


class Delivery:
    """Sends the messages of each request to its subscribers, wherever these are kept.

    Two promises hold for each connection and request. The order: the acknowledgment, then progress, then the outcome.
    What comes before the acknowledgment was sent is held back here. And the outcome is sent once, and nothing after
    it: whoever sends it has claimed it, `Subscribers.once` calls nobody twice.

    Where other processes send, too, nothing that they do can be held back here, so a connection is added to the
    subscribers after its acknowledgment was sent. A process that ends a request stores the outcome first and looks for
    subscribers then; this one adds the subscriber first and reads the request then. So at least one of the two sees
    the other, and the claim lets only one of them send.

    Args:
        connections: take the messages.
        logger: for what a connection manager raises besides ConnectionGone; it concerns that connection alone.
        subscribers: of the requests; kept in this process when left out.
        queue: outcomes are read from it again where a connection is too far behind to be sent one when it comes. None:
            they are sent all the same.
        tracker: records which outcomes arrived; None: nobody does.
        sent: notes which outcomes were sent, where a later message shows that they arrived; None: clients answer pings.
    """

    def __init__(
        self,
        connections: ConnectionManager,
        logger: Any = None,
        *,
        subscribers: Subscribers | None = None,
        queue: RequestQueue | None = None,
        tracker: DeliveryTracker | None = None,
        sent: SentOutcomes | None = None,
    ) -> None:
        self._connections = connections
        self._queue = queue
        self._tracker = tracker
        self._logger = default_logger() if logger is None else logger
        self._subscribers: Subscribers = LocalSubscriptions(SystemClock()) if subscribers is None else subscribers
        self._awaited = AwaitedAcknowledgments()
        self._outbox = Outbox(connections, self.forget, self._logger, sent)
        self._pacing = Pacing(connections, self._send_stored, self._logger)
        self._background = BackgroundTasks()

    # Subscribing

    def subscribe(self, key: Key, connection_id: str) -> None:
        """The connection is to get the request's messages, the first of them after its acknowledgment.

        `acknowledged`, `attach`, `send_ended` or `unsubscribe` follows. One that is known to get them goes on as it is.
        """
        if key not in self._subscribers.here.get(connection_id, ()):
            self._awaited.add(key, connection_id)

    def unsubscribe(self, key: Key, connection_id: str) -> None:
        """Takes one `subscribe` back: what made the connection subscribe was refused, or found nothing."""
        self._awaited.give_up(key, connection_id)

    def awaits_acknowledgment(self, key: Key, connection_id: str) -> bool:
        """Whether the connection is to get the request's acknowledgment next, and nothing else of it before."""
        return self._awaited.get(key, connection_id) is not None

    def acknowledged(
        self, key: Key, connection_id: str, *, ends_after: float | None = None, ended: bool = False
    ) -> Awaitable[None]:
        """The acknowledgment was sent: what was held back for it follows. What is returned is `DONE` if that is all.

        Args:
            key: which request.
            connection_id: whose connection.
            ends_after: seconds after which the request is cancelled that has lost its last subscriber.
            ended: the request had ended before; its outcome is read when its turn comes, so that of many such requests
                no more than one outcome is in memory.
        """
        awaited = self._awaited.get(key, connection_id)
        if awaited is None:
            return DONE
        if ended:
            self._awaited.drop(key, connection_id)
            self._pacing.later(key, connection_id)
            return DONE
        if awaited.held:
            return self._send_held(key, connection_id, awaited, ends_after)
        return self._join(key, connection_id, ends_after)

    async def attach(
        self, key: Key, connection_id: str, state: bytes | None, *, ends_after: float | None = None
    ) -> None:
        """The connection asked for the request: its state first, then what is newer.

        Args:
            key: which request.
            connection_id: whose connection; `subscribe` was called for it before the state was read.
            state: the newest progress; None when the client has it already.
            ends_after: as for `acknowledged`.
        """
        awaited = self._awaited.get(key, connection_id)
        if awaited is None:
            # Else it was sent the outcome meanwhile, which is newer than the state that was read.
            if state is not None and key in self._subscribers.here.get(connection_id, ()):
                await self._outbox.send(key, connection_id, state, final=False)
            return
        # Progress that was held back is older than the state that was read after it.
        awaited.held = [one for one in awaited.held if one[1]]
        if state is not None and not await self._outbox.try_send(key, connection_id, state):
            self._awaited.drop(key, connection_id)
            return
        await self.acknowledged(key, connection_id, ends_after=ends_after)

    async def send_ended(self, key: Key, connection_id: str, message: bytes) -> None:
        """The connection asked for a request that has ended: the message is its outcome, which nobody else sends now.

        Raises:
            StoreError: whether somebody else does could not be found out.
        """
        self._awaited.drop(key, connection_id)
        await self._subscribers.claim(key, connection_id)
        await self._outbox.send(key, connection_id, message, final=True)

    def forget(self, connection_id: str) -> None:
        """The connection has ended. Where that has to be stored it is in the background; `settle` waits for it."""
        leaving = self._subscribers.leave(connection_id)
        if leaving is not DONE:
            self._background.start(_finish(leaving))

    # Sending

    def progress(self, key: Key, make: Make) -> Awaitable[None]:
        """Sends progress to all subscribers; where a client is slow only the newest survives."""
        sending = _Sending(self._send_progress, key, make)
        if (connections := self._awaited.by_key.get(key)) is not None:
            for awaited in connections.values():
                awaited.hold(sending.data(), final=False)
        return self._subscribers.each(key, sending)

    def terminal(self, key: Key, make: Make, claimed_before: float | None = None) -> Awaitable[None]:
        """Sends the outcome to all subscribers, once to each, and ends their subscriptions.

        Args:
            key: which request.
            make: encodes how it ended.
            claimed_before: as for `Subscribers.once`.
        """
        sending = _Sending(self._send_outcome, key, make)
        if (connections := self._awaited.by_key.get(key)) is not None:
            for awaited in connections.values():
                awaited.hold(sending.data(), final=True)
        return self._subscribers.once(key, sending, claimed_before)

    def send_here(self, key: Key, connection_id: str, message: bytes, *, final: bool) -> Awaitable[None]:
        """Sends a message of another process, which has claimed the outcome, to one connection of this process."""
        send = self._send_outcome if final else self._send_progress
        return send(key, connection_id, message)

    def turn(self, key: Key | None, connection_id: str) -> AbstractAsyncContextManager[None]:
        """Entered when the connection has taken what was sent before, and there is room for this request's outcome.

        Where that was to be sent later, it no longer is. Without a key it is for the answer to something else.

        Raises:
            ConnectionGone: the connection has ended.
            Error: OVERLOADED: the service is shutting down, and waits for no slow client.
        """
        if key is not None:
            self._pacing.withdraw(key, connection_id)
        return self._pacing.turn(connection_id)

    def resuming(self, connection_id: str) -> AbstractContextManager[Collection[Key]]:
        """While it lasts, gathers the requests whose outcomes the connection is sent by this process."""
        return self._outbox.resuming(connection_id)

    # What is known

    def waits(self, connection_id: str) -> bool:
        """Whether a connection of this process is to get something: it is subscribed to a request, or has to catch up
        before it can be sent an outcome.
        """
        return connection_id in self._subscribers.here or connection_id in self._pacing

    def subscribed_here(self) -> set[Key]:
        """The requests that connections of this process are subscribed to, or will be once they are acknowledged."""
        return {*self._awaited.by_key, *(key for keys in self._subscribers.here.values() for key in keys)}

    def confirmed(self, keys: Iterable[Key]) -> None:
        """The owners of these requests have shown that they took the outcomes."""
        if self._tracker is not None:
            self._tracker.confirmed(keys)

    def runs_again(self, key: Key) -> None:
        """A worker begins another attempt: what was confirmed of the request until now is not its next outcome."""
        if self._tracker is not None:
            self._tracker.runs_again(key)

    async def record_confirmed(self) -> None:
        """Returns when the store knows of all that was confirmed, as far as it takes it."""
        if self._tracker is not None:
            await self._tracker.write()

    # Ending

    def begin_drain(self) -> None:
        """Waits for no slow client any more; what it did not get stays in the store."""
        self._pacing.stop()

    async def settle(self) -> None:
        """Returns when everything was sent and stored that was begun without being waited for."""
        await self._pacing.settle()
        await self._background.settle()
        await self.record_confirmed()

    # Inside

    async def _send_held(self, key: Key, connection_id: str, awaited: Awaited, ends_after: float | None) -> None:
        while awaited.held:
            data, final = awaited.held.pop(0)
            if final:
                # It was not added to the subscribers: nobody else sends it anything.
                self._awaited.drop(key, connection_id)
                await self._send_outcome(key, connection_id, data)
                return
            await self._outbox.send(key, connection_id, data, final=False)
        await self._join(key, connection_id, ends_after)

    def _join(self, key: Key, connection_id: str, ends_after: float | None) -> Awaitable[None]:
        adding = self._subscribers.add(key, connection_id, ends_after)
        if adding is not DONE or ends_after is not None:
            return self._joined(adding, key, connection_id, ends_after)
        self._awaited.drop(key, connection_id)
        return DONE

    async def _joined(self, adding: Awaitable[None], key: Key, connection_id: str, ends_after: float | None) -> None:
        try:
            try:
                await adding
            finally:
                self._awaited.drop(key, connection_id)
            if adding is not DONE:
                await self._send_missed(key, connection_id)
        except StoreError as problem:
            # The request is stored and will run. Its owner gets the outcome on resuming.
            self._logger.error("a connection cannot follow its request", request_id=key[1], error=str(problem))
        if ends_after is not None and not await self._connections.is_active(connection_id):
            # It had ended before it was added: nobody else will report that it is gone.
            self.forget(connection_id)

    async def _send_missed(self, key: Key, connection_id: str) -> None:
        """Another process may have ended the request before the connection was added."""
        assert self._queue is not None, "subscriptions that others see need the store that others write"
        record = await self._queue.get(key)
        if record is not None and record.terminal and await self._subscribers.claim(key, connection_id):
            await self._send_outcome(key, connection_id, terminal_message(record))

    def _send_progress(self, key: Key, connection_id: str, message: bytes) -> Awaitable[None]:
        return self._outbox.send(key, connection_id, message, final=False)

    def _send_outcome(self, key: Key, connection_id: str, message: bytes) -> Awaitable[None]:
        """Now, or once the connection has caught up: outcomes of many requests at once must not cut off a slow one."""
        if self._queue is not None and self._pacing.behind(connection_id):
            self._pacing.later(key, connection_id)
            return DONE
        return self._outbox.send(key, connection_id, message, final=True)

    async def _send_stored(self, key: Key, connection_id: str) -> None:
        assert self._queue is not None, "without a queue no outcome is sent later"
        record = await self._queue.get(key)
        if record is not None and not record.terminal:
            # An operator has made it run again.
            self.subscribe(key, connection_id)
            await self.acknowledged(key, connection_id)
            record = await self._queue.get(key)
            if record is not None and not record.terminal:
                return
            if not await self._subscribers.claim(key, connection_id):
                return
        if record is None:
            message = encode_error(refusals.not_stored(), key[1])
        else:
            message = terminal_message(record)
            del record
        await self._outbox.send(key, connection_id, message, final=True)


async def _finish(work: Awaitable[None]) -> None:
    await work
