"""Messages of queued requests to whoever follows them."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from streamer.contracts.connections import ConnectionManager
from streamer.contracts.stores import Key, RequestQueue
from streamer.core.clock import SystemClock
from streamer.core.stepping import DONE
from streamer.engine import refusals
from streamer.engine.boundary import default_logger
from streamer.engine.codec import encode_error
from streamer.engine.delivery_tracker import DeliveryTracker
from streamer.engine.outbox import Outbox
from streamer.engine.outcomes import terminal_message
from streamer.engine.pacing import Pacing
from streamer.engine.subscriptions import LocalSubscriptions, Subscription


class Delivery:
    """Who follows which request, and that nothing of a request reaches a connection before its acknowledgment.

    Exactly one terminal message per connection: following ends with it.

    Args:
        connections: take the messages.
        logger: for what a connection manager raises besides ConnectionGone; it concerns that connection alone.
        subscriptions: of the connections; its own when left out.
        queue: outcomes are read from it again where a connection is too far behind to be sent one when it comes. None:
            they are sent all the same.
        tracker: records which outcomes were taken; None: nobody does.
    """

    def __init__(
        self,
        connections: ConnectionManager,
        logger: Any = None,
        *,
        subscriptions: LocalSubscriptions | None = None,
        queue: RequestQueue | None = None,
        tracker: DeliveryTracker | None = None,
    ) -> None:
        self._queue = queue
        self._tracker = tracker
        self._logger = default_logger() if logger is None else logger
        self._subscriptions = subscriptions or LocalSubscriptions(SystemClock())
        self._subscribers = self._subscriptions.by_key
        self._outbox = Outbox(connections, self.forget, self._logger)
        self._pacing = Pacing(connections, self._send_stored, self._logger)

    def subscribe(self, key: Key, connection_id: str) -> bool:
        """The connection gets the request's messages from now on; until `acknowledged` they are held back.

        Returns whether that is new: a connection that follows already goes on as it is.
        """
        return self._subscriptions.add(key, connection_id)

    def refused(self, key: Key, connection_id: str) -> None:
        """What made the connection follow was refused: it goes on only for another message with the same id."""
        following = self._subscriptions.get(key, connection_id)
        if following is not None and following.held is not None:
            following.waiting -= 1
            if following.waiting == 0:
                self.unsubscribe(key, connection_id)

    def unsubscribe(self, key: Key, connection_id: str) -> None:
        """The connection gets no more of the request, and nothing of what was held back."""
        self._subscriptions.remove(key, connection_id)

    def forget(self, connection_id: str) -> None:
        """The connection has ended."""
        self._subscriptions.leave(connection_id)

    def ends_after(self, key: Key, seconds: float) -> None:
        """When the last of the connections that follow the request now, or join them, has ended, it is orphaned."""
        self._subscriptions.ends_after(key, seconds)

    def awaits_acknowledgment(self, key: Key, connection_id: str) -> bool:
        """Whether the connection follows the request, and what it is to get is held back for its acknowledgment."""
        following = self._subscriptions.get(key, connection_id)
        return following is not None and following.held is not None

    def may_have_subscribers(self, key: Key) -> bool:
        """Whether anybody follows the request."""
        return key in self._subscribers

    def subscribed_only_here(self) -> Collection[Key]:
        """Every request that anybody follows."""
        return list(self._subscribers)

    def waits(self, connection_id: str) -> bool:
        """Whether the connection is to get something: it follows a request, or an outcome waits for it to catch up."""
        return self._subscriptions.subscribed(connection_id) or connection_id in self._pacing

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
        """While it lasts, gathers the requests whose outcomes the connection is sent, by whatever way."""
        return self._outbox.resuming(connection_id)

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

    async def settle(self) -> None:
        """Returns at once: nothing is stored here."""

    def begin_drain(self) -> None:
        """Waits for no slow client any more; what it did not get stays in the store."""
        self._pacing.stop()

    def acknowledged(self, key: Key, connection_id: str) -> Awaitable[None]:
        """The acknowledgment was sent: what was held back for it follows."""
        following = self._subscriptions.get(key, connection_id)
        if following is None or following.held is None:
            return DONE
        if following.held:
            return self._send_held(key, connection_id, following, following.held)
        self._release(key, connection_id, following)
        return DONE

    async def _send_held(
        self, key: Key, connection_id: str, following: Subscription, held: list[tuple[bytes, bool]]
    ) -> None:
        while held:
            data, final = held.pop(0)
            if final:
                await self._send_outcome(key, connection_id, data)
            else:
                await self._outbox.send(key, connection_id, data, final=False)
        self._release(key, connection_id, following)

    def _release(self, key: Key, connection_id: str, following: Subscription) -> None:
        following.held = None
        if following.ended:
            self.unsubscribe(key, connection_id)

    def ended(self, key: Key, connection_id: str) -> None:
        """A request that had ended was sent again, and that was acknowledged: its outcome follows.

        It is read when its turn comes, so that of many such requests no more than one outcome is in memory.
        """
        if self._subscriptions.get(key, connection_id) is not None:
            self.unsubscribe(key, connection_id)
            self._pacing.later(key, connection_id)

    async def attach(self, key: Key, connection_id: str, state: bytes | None, *, ended: bool) -> None:
        """Ends the holding back for a connection that follows anew: the request's state first, then what is newer.

        Args:
            key: which request.
            connection_id: whose connection; `follow` was called for it.
            state: the newest progress, or the terminal message; None when the client has it already.
            ended: the state is terminal.
        """
        following = self._subscriptions.get(key, connection_id)
        if following is None and not ended:
            # It was sent the outcome meanwhile, which is newer than the state that was read, or has ended.
            return
        if following is not None and following.held is not None:
            # Progress that was held back is older than the state that was read after it.
            following.held = [] if ended else [one for one in following.held if one[1]]
        if ended:
            self.unsubscribe(key, connection_id)
        if state is not None:
            await self._outbox.send(key, connection_id, state, final=ended)
        await self.acknowledged(key, connection_id)

    def progress(self, key: Key, message: bytes) -> Awaitable[None]:
        """Sends progress to all subscribers; where a client is slow only the newest survives."""
        subscribers = self._subscribers.get(key)
        if subscribers is None:
            return DONE
        if len(subscribers) > 1:
            return self._progress_to_each(key, message)
        ((connection_id, following),) = subscribers.items()
        return self._progress_to(key, connection_id, following, message)

    async def _progress_to_each(self, key: Key, message: bytes) -> None:
        for connection_id, following in tuple(self._subscribers.get(key, {}).items()):
            # While another connection was being served this one may have got its terminal message, or ended.
            if self._subscriptions.get(key, connection_id) is following:
                await self._progress_to(key, connection_id, following, message)

    def _progress_to(self, key: Key, connection_id: str, following: Subscription, message: bytes) -> Awaitable[None]:
        if following.held is None:
            return self._outbox.send(key, connection_id, message, final=False)
        following.held.append((message, False))
        return DONE

    def terminal(self, key: Key, message: bytes, claimed_before: float | None = None) -> Awaitable[None]:  # noqa: ARG002 - one process alone sends here
        """Sends the terminal message to all subscribers and ends their following."""
        subscribers = self._subscribers.get(key)
        if subscribers is None:
            return DONE
        if len(subscribers) > 1:
            return self._terminal_to_each(key, message)
        ((connection_id, following),) = subscribers.items()
        return self._terminal_to(key, connection_id, following, message)

    async def _terminal_to_each(self, key: Key, message: bytes) -> None:
        for connection_id, following in tuple(self._subscribers.get(key, {}).items()):
            await self._terminal_to(key, connection_id, following, message)

    def _terminal_to(self, key: Key, connection_id: str, following: Subscription, message: bytes) -> Awaitable[None]:
        if following.held is None:
            self.unsubscribe(key, connection_id)
            return self._send_outcome(key, connection_id, message)
        if not following.ended:
            following.held.append((message, True))
            following.ended = True
        return DONE

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
            self.unsubscribe(key, connection_id)
        if record is None:
            message = encode_error(refusals.not_stored(), key[1])
        else:
            message = terminal_message(record)
            del record
        await self._outbox.send(key, connection_id, message, final=True)
