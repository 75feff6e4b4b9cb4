"""Messages of queued requests to whoever follows them, where requests run in other processes than they came to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Any

from streamer.contracts.connections import ConnectionManager, ConnectionRegistry
from streamer.contracts.stores import Key
from streamer.contracts.subscriptions import Subscriptions
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import ConnectionGone, NotSent, StoreError
from streamer.core.foreign_code import is_our_own
from streamer.engine.background import BackgroundTasks
from streamer.engine.connection_ends import ConnectionEnds
from streamer.engine.outcomes import terminal_message


class SharedDelivery:
    """Delivery for connections that other processes reach as well: subscriptions are stored where all see them.

    A subscriber is written down after its acknowledgment was sent, so nobody can tell it anything before that. Whoever
    runs the request writes down how it ended, and asks then who follows; whoever writes down a subscriber asks then how
    the request stands. So at least one of them sees the other, and `Subscriptions.claim` lets only one of them tell.

    Args:
        connections: take the messages.
        subscriptions: the stored ones.
        queue: is asked how a request stands, and noted in that its owner was told.
        logger: for what goes wrong with one subscriber, which must not concern the others.
        ends: ends the subscriptions of connections that have ended.
        connected: where it is noted which outcomes a connection was sent, until its next message confirms them. None:
            what was sent counts as delivered.
        clock: for when that was.
    """

    def __init__(
        self,
        connections: ConnectionManager,
        subscriptions: Subscriptions,
        queue: Any,
        logger: Any,
        *,
        ends: ConnectionEnds,
        connected: ConnectionRegistry | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._connected = connected
        self._clock = clock or SystemClock()
        self._connections = connections
        self._subscribers = subscriptions
        self._ends = ends
        self._queue = queue
        self._logger = logger
        self._awaiting: Counter[tuple[Key, str]] = Counter()
        self._ends_after: dict[Key, float] = {}
        self._background = BackgroundTasks()

    def subscribe(self, key: Key, connection_id: str) -> bool:
        self._awaiting[key, connection_id] += 1
        return self._awaiting[key, connection_id] == 1

    def refused(self, key: Key, connection_id: str) -> None:
        self.unsubscribe(key, connection_id)

    def unsubscribe(self, key: Key, connection_id: str) -> None:
        self._awaiting[key, connection_id] -= 1
        if self._awaiting[key, connection_id] <= 0:
            del self._awaiting[key, connection_id]
        self._ends_after.pop(key, None)

    def forget(self, connection_id: str) -> None:
        """Stored in the background; `settle` returns when that is done."""
        self._background.start(self._ends.ended(connection_id))

    def ends_after(self, key: Key, seconds: float) -> None:
        self._ends_after[key] = seconds

    def awaits_acknowledgment(self, key: Key, connection_id: str) -> bool:
        return (key, connection_id) in self._awaiting

    def may_have_subscribers(self, key: Key) -> bool:  # noqa: ARG002 - part of `Teller`
        """Always: the stored subscriptions are read when there is something to send, and not before."""
        return True

    def runs_again(self, key: Key) -> None:
        """Nothing to do: what is confirmed is stored at once."""

    def subscribed_only_here(self) -> Collection[Key]:
        """None: the process that ends a request, whichever it is, sends the outcome to all subscribers."""
        return ()

    def waits(self, connection_id: str) -> bool:  # noqa: ARG002 - part of `Teller`
        """Always: the gateway that holds the connections decides which are idle, and does not ask."""
        return True

    def turn(self, key: Key | None, connection_id: str) -> AbstractAsyncContextManager[None]:  # noqa: ARG002 - part of `Teller`
        """Every message is a call that is waited for, which is pace enough."""
        return nullcontext()

    def resuming(self, connection_id: str) -> AbstractContextManager[Collection[Key]]:  # noqa: ARG002 - part of `Teller`
        """Gathers nothing: other processes send outcomes as well, and this one does not learn of it."""
        return nullcontext(())

    def confirmed(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._background.start(self._delivered(key))

    async def record_confirmed(self) -> None:
        """Nothing to do: what is confirmed is stored at once."""

    def begin_drain(self) -> None:
        """Nothing to do: nothing waits for a slow client."""

    async def acknowledged(self, key: Key, connection_id: str) -> None:
        ends_after = self._ends_after.get(key)
        self.unsubscribe(key, connection_id)
        await self._join(key, connection_id, ends_after)

    def ended(self, key: Key, connection_id: str) -> None:
        """Nothing to do: `acknowledged` sends the outcome of a request that has ended."""

    async def attach(self, key: Key, connection_id: str, state: bytes | None, *, ended: bool) -> None:
        ends_after = self._ends_after.get(key)
        self.unsubscribe(key, connection_id)
        if ended:
            # Should somebody be about to tell it as well, one of both is enough.
            await self._subscribers.claim(key, connection_id)
        at = self._clock.now()
        if state is not None and not await self._send(key, connection_id, state, final=ended):
            return
        if not ended:
            await self._join(key, connection_id, ends_after)
        elif state is None:
            # The client has said itself that it has it.
            await self._delivered(key)
        else:
            await self._sent(key, connection_id, at)

    async def progress(self, key: Key, message: bytes) -> None:
        """Progress that cannot be sent is not worth more than a line in the log."""
        try:
            subscribers = await self._subscribers.of(key)
        except StoreError as problem:
            self._logger.warning("progress was not sent", request_id=key[1], error=str(problem))
            return
        for connection_id in subscribers:
            await self._send(key, connection_id, message, final=False)

    async def terminal(self, key: Key, message: bytes, claimed_before: float | None = None) -> None:
        """What cannot be sent now is sent by the sweep that looks for undelivered outcomes."""
        try:
            subscribers = await self._subscribers.of(key, claimed_before)
            for connection_id in subscribers:
                at = self._clock.now()
                if await self._tell(key, connection_id, message, claimed_before):
                    await self._sent(key, connection_id, at)
        except StoreError as problem:
            self._logger.warning("an outcome was not told yet", request_id=key[1], error=str(problem))

    async def settle(self) -> None:
        """Returns when everything is written down."""
        await self._background.settle()

    async def _join(self, key: Key, connection_id: str, ends_after: float | None) -> None:
        try:
            await self._subscribers.add(key, connection_id, ends_after)
            record = await self._queue.get(key)
            at = self._clock.now()
            if (
                record is not None
                and record.terminal
                and await self._tell(key, connection_id, terminal_message(record), None)
            ):
                await self._sent(key, connection_id, at)
        except StoreError as problem:
            # The request is stored and will run. Its owner hears of it on resuming.
            self._logger.error("a connection cannot follow its request", request_id=key[1], error=str(problem))

    async def _tell(self, key: Key, connection_id: str, message: bytes, claimed_before: float | None) -> bool:
        if not await self._subscribers.claim(key, connection_id, claimed_before):
            return False
        return await self._send(key, connection_id, message, final=True)

    async def _send(self, key: Key, connection_id: str, message: bytes, *, final: bool) -> bool:
        try:
            await self._connections.send(connection_id, message, replaces=key[1], final=final)
        except ConnectionGone:
            self.forget(connection_id)
        except NotSent as problem:
            self._logger.warning(
                "a message was not taken", connection_id=connection_id, request_id=key[1], error=str(problem)
            )
        except BaseException as problem:  # one connection's fault must not stop what the others are told
            if is_our_own(problem):
                raise
            self._logger.error(
                "a message could not be handed over", connection_id=connection_id, request_id=key[1], exc_info=problem
            )
        else:
            return True
        return False

    async def _sent(self, key: Key, connection_id: str, at: float) -> None:
        """The outcome was handed over. A gateway takes it for a client that has gone, too, so that is no delivery."""
        if self._connected is None:
            await self._delivered(key)
            return
        try:
            await asyncio.gather(self._queue.mark_sent([key]), self._connected.sent(connection_id, key[1], at))
        except StoreError as problem:
            # The worst that follows is that an owner hears of an outcome twice.
            self._logger.warning("a delivery was not noted", request_id=key[1], error=str(problem))

    async def _delivered(self, key: Key) -> None:
        try:
            await self._queue.mark_delivered([key])
        except StoreError as problem:
            # The worst that follows is that an owner hears of an outcome twice.
            self._logger.warning("a delivery was not noted", request_id=key[1], error=str(problem))
