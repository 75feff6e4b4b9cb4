"""Delivers messages of queued requests to subscribed connections."""

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
"""Encodes a message; called when there is a connection to send it to."""


class _Sending:
    """A `Send` of one message: encoded for the first connection, and reused for all others.

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
    """Sends the messages of each request to its subscribers, wherever these are stored.

    It keeps two promises for each connection and request. The order: the acknowledgment, then progress, then the
    outcome; messages before the acknowledgment are held back here. And the outcome is sent once, with nothing after it:
    its sender has claimed it, and `Subscribers.once` calls nobody twice.

    Other processes may send too, and their messages cannot be held back here, so a connection is added to the
    subscribers after its acknowledgment was sent. A process that ends a request stores the outcome first and then reads
    the subscribers; this process adds the subscriber first and then reads the request. So at least one of the two sees
    the other's write, and the claim lets only one of them send.

    Args:
        connections: send the messages.
        logger: for exceptions of a connection manager besides ConnectionGone; they affect only their connection.
        subscribers: of the requests. Default: kept in this process.
        queue: outcomes are read from it again for a connection that was too far behind when they were stored. None:
            they are sent anyway.
        tracker: records which outcomes arrived; None: not recorded.
        sent: records which outcomes were sent, if a later message confirms them; None: clients answer pings.
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

    # Subscribing.

    def subscribe(self, key: Key, connection_id: str) -> None:
        """The connection will get the request's messages, after its acknowledgment.

        `acknowledged`, `attach`, `send_ended` or `unsubscribe` follows. A connection that is already subscribed is not
        changed.
        """
        if key not in self._subscribers.here.get(connection_id, ()):
            self._awaited.add(key, connection_id)

    def unsubscribe(self, key: Key, connection_id: str) -> None:
        """Reverts one `subscribe`: the message that caused it was refused, or found nothing."""
        self._awaited.give_up(key, connection_id)

    def awaits_acknowledgment(self, key: Key, connection_id: str) -> bool:
        """Whether the next message of the request for the connection must be its acknowledgment."""
        return self._awaited.get(key, connection_id) is not None

    def acknowledged(
        self, key: Key, connection_id: str, *, ends_after: float | None = None, ended: bool = False
    ) -> Awaitable[None]:
        """The acknowledgment was sent: sends the held messages. Returns `DONE` if nothing remains.

        Args:
            key: the request.
            connection_id: the connection.
            ends_after: seconds after which the request is cancelled once it has lost its last subscriber.
            ended: the request had ended before; its outcome is read when it is sent, so that only one outcome of many
                such requests is in memory.
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
        """The connection resumes the request: it gets its state first, then newer messages.

        Args:
            key: the request.
            connection_id: the connection; `subscribe` was called for it before the state was read.
            state: the newest progress; None when the client has it already.
            ends_after: as for `acknowledged`.
        """
        awaited = self._awaited.get(key, connection_id)
        if awaited is None:
            # Otherwise it was sent the outcome meanwhile, which is newer than the state that was read.
            if state is not None and key in self._subscribers.here.get(connection_id, ()):
                await self._outbox.send(key, connection_id, state, final=False)
            return
        # Held progress is older than the state that was read after it.
        awaited.held = [one for one in awaited.held if one[1]]
        if state is not None and not await self._outbox.try_send(key, connection_id, state):
            self._awaited.drop(key, connection_id)
            return
        await self.acknowledged(key, connection_id, ends_after=ends_after)

    async def send_ended(self, key: Key, connection_id: str, message: bytes) -> None:
        """The connection resumes a request that has ended: sends it the outcome, unless another process does.

        Raises:
            StoreError: it is unknown whether another process does.
        """
        self._awaited.drop(key, connection_id)
        await self._subscribers.claim(key, connection_id)
        await self._outbox.send(key, connection_id, message, final=True)

    def forget(self, connection_id: str) -> None:
        """The connection has ended. If that must be stored, it happens in the background; `settle` waits for it."""
        leaving = self._subscribers.leave(connection_id)
        if leaving is not DONE:
            self._background.start(_finish(leaving))

    # Sending.

    def progress(self, key: Key, make: Make) -> Awaitable[None]:
        """Sends progress to all subscribers; slow clients get only the newest."""
        sending = _Sending(self._send_progress, key, make)
        if (connections := self._awaited.by_key.get(key)) is not None:
            for awaited in connections.values():
                awaited.hold(sending.data(), final=False)
        return self._subscribers.each(key, sending)

    def terminal(self, key: Key, make: Make, claimed_before: float | None = None) -> Awaitable[None]:
        """Sends the outcome to all subscribers, once to each, and ends their subscriptions.

        Args:
            key: the request.
            make: encodes the outcome.
            claimed_before: as for `Subscribers.once`.
        """
        sending = _Sending(self._send_outcome, key, make)
        if (connections := self._awaited.by_key.get(key)) is not None:
            for awaited in connections.values():
                awaited.hold(sending.data(), final=True)
        return self._subscribers.once(key, sending, claimed_before)

    def send_here(self, key: Key, connection_id: str, message: bytes, *, final: bool) -> Awaitable[None]:
        """Sends a message from another process, which has claimed the outcome, to one connection of this process."""
        send = self._send_outcome if final else self._send_progress
        return send(key, connection_id, message)

    def turn(self, key: Key | None, connection_id: str) -> AbstractAsyncContextManager[None]:
        """Entered when the connection has received everything before, and has capacity for this request's outcome.

        If the outcome was to be sent later, that is cancelled. Without a key, the turn is for another answer.

        Raises:
            ConnectionGone: the connection has ended.
            Error: OVERLOADED: the service is shutting down, and does not wait for slow clients.
        """
        if key is not None:
            self._pacing.withdraw(key, connection_id)
        return self._pacing.turn(connection_id)

    def resuming(self, connection_id: str) -> AbstractContextManager[Collection[Key]]:
        """Within this context, collects the requests whose outcomes this process sends to the connection."""
        return self._outbox.resuming(connection_id)

    # Information.

    def waits(self, connection_id: str) -> bool:
        """Whether a connection of this process is expecting a message: it is subscribed to a request, or must catch up
        before it gets an outcome.
        """
        return connection_id in self._subscribers.here or connection_id in self._pacing

    def subscribed_here(self) -> set[Key]:
        """The requests with subscribers in this process, including those that wait for an acknowledgment."""
        return {*self._awaited.by_key, *(key for keys in self._subscribers.here.values() for key in keys)}

    def confirmed(self, keys: Iterable[Key]) -> None:
        """The owners of these requests have confirmed their outcomes."""
        if self._tracker is not None:
            self._tracker.confirmed(keys)

    def runs_again(self, key: Key) -> None:
        """A worker starts another attempt: earlier confirmations of the request are not for its next outcome."""
        if self._tracker is not None:
            self._tracker.runs_again(key)

    async def record_confirmed(self) -> None:
        """Returns when all confirmations are stored, if the store accepts them."""
        if self._tracker is not None:
            await self._tracker.write()

    # Ending.

    def begin_drain(self) -> None:
        """Stops waiting for slow clients; the store keeps what they did not get."""
        self._pacing.stop()

    async def settle(self) -> None:
        """Returns when all background work is sent and stored."""
        await self._pacing.settle()
        await self._background.settle()
        await self.record_confirmed()

    # Internal.

    async def _send_held(self, key: Key, connection_id: str, awaited: Awaited, ends_after: float | None) -> None:
        while awaited.held:
            data, final = awaited.held.pop(0)
            if final:
                # It was not added to the subscribers: no other process sends to it.
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
            # The request is stored and will run. Its owner gets the outcome by resuming.
            self._logger.error("a connection cannot subscribe to its request", request_id=key[1], error=str(problem))
        if ends_after is not None and not await self._connections.is_active(connection_id):
            # It had ended before it was added: no other code will report its end.
            self.forget(connection_id)

    async def _send_missed(self, key: Key, connection_id: str) -> None:
        """Another process may have ended the request before the connection was added."""
        assert self._queue is not None, "shared subscriptions require a shared store"
        record = await self._queue.get(key)
        if record is not None and record.terminal and await self._subscribers.claim(key, connection_id):
            await self._send_outcome(key, connection_id, terminal_message(record))

    def _send_progress(self, key: Key, connection_id: str, message: bytes) -> Awaitable[None]:
        return self._outbox.send(key, connection_id, message, final=False)

    def _send_outcome(self, key: Key, connection_id: str, message: bytes) -> Awaitable[None]:
        """Now, or once the connection has caught up: many outcomes at once must not disconnect a slow client."""
        if self._queue is not None and self._pacing.behind(connection_id):
            self._pacing.later(key, connection_id)
            return DONE
        return self._outbox.send(key, connection_id, message, final=True)

    async def _send_stored(self, key: Key, connection_id: str) -> None:
        assert self._queue is not None, "without a queue, outcomes are never sent later"
        record = await self._queue.get(key)
        if record is not None and not record.terminal:
            # An operator is running it again.
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
