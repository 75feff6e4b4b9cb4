"""What the engine needs of whoever tells clients about their queued requests."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from streamer.contracts.stores import Key


class Teller(Protocol):
    """Who follows which request, and that nothing of a request reaches a connection before its acknowledgment.

    `Delivery` is for connections and workers of one process, `SharedDelivery` for those of many. What `acknowledged`,
    `progress` and `terminal` return is awaited; it is `DONE` where nothing has to be waited for.
    """

    def subscribe(self, key: Key, connection_id: str) -> bool:
        """The connection gets the request's messages from now on, the first of them behind its acknowledgment.

        Returns whether that is new: a connection that follows already goes on as it is.
        """
        ...

    def refused(self, key: Key, connection_id: str) -> None:
        """What made the connection follow was refused: it goes on only for another message with the same id."""
        ...

    def unsubscribe(self, key: Key, connection_id: str) -> None:
        """The connection gets no more of the request, and nothing of what was held back."""
        ...

    def forget(self, connection_id: str) -> None:
        """The connection has ended."""
        ...

    def ends_after(self, key: Key, seconds: float) -> None:
        """When the last of the connections that follow the request now, or join them, has ended, it is to end too.

        It ends so many seconds later, unless somebody follows it by then.
        """
        ...

    def awaits_acknowledgment(self, key: Key, connection_id: str) -> bool:
        """Whether the connection is about to hear that the request is stored, and must hear nothing else before."""
        ...

    def may_have_subscribers(self, key: Key) -> bool:
        """False where the request is known to have no subscriber: its messages need not be made then."""
        ...

    def runs_again(self, key: Key) -> None:
        """A worker begins another attempt: what was confirmed of the request until now is not its next outcome."""
        ...

    def subscribed_only_here(self) -> Collection[Key]:
        """The requests whose subscribers get an outcome that another process has stored from this process alone."""
        ...

    def waits(self, connection_id: str) -> bool:
        """Whether the connection is to get something: it follows a request, or an outcome waits for it to catch up."""
        ...

    def turn(self, key: Key | None, connection_id: str) -> AbstractAsyncContextManager[None]:
        """Entered when the connection has taken what was sent before, and there is room for this request's outcome.

        Where that was to be sent later, it no longer is. Without a key it is for the answer to something else.

        Raises:
            ConnectionGone: the connection has ended.
            Error: OVERLOADED: the service is shutting down, and waits for no slow client.
        """
        ...

    def resuming(self, connection_id: str) -> AbstractContextManager[Collection[Key]]:
        """While it lasts, gathers the requests whose outcomes the connection is sent, as far as this process knows."""
        ...

    def confirmed(self, keys: Iterable[Key]) -> None:
        """The owners of these requests have shown that they took the outcomes."""
        ...

    async def record_confirmed(self) -> None:
        """Returns when the store knows of all that was confirmed, as far as it takes it."""
        ...

    async def settle(self) -> None:
        """Returns when everything is stored that was begun without being waited for."""
        ...

    def begin_drain(self) -> None:
        """Waits for no slow client any more; what it did not get stays in the store."""
        ...

    def acknowledged(self, key: Key, connection_id: str) -> Awaitable[None]:
        """The acknowledgment was sent: what was held back for it follows."""
        ...

    def ended(self, key: Key, connection_id: str) -> None:
        """A request that had ended was sent again, and that was acknowledged: its outcome follows."""
        ...

    async def attach(self, key: Key, connection_id: str, state: bytes | None, *, ended: bool) -> None:
        """Ends the holding back for a connection that follows anew: the request's state first, then what is newer.

        Args:
            key: which request.
            connection_id: whose connection; `follow` was called for it.
            state: the newest progress, or the terminal message; None when the client has it already.
            ended: the state is terminal.
        """
        ...

    def progress(self, key: Key, message: bytes) -> Awaitable[None]:
        """Sends progress to all subscribers; where a client is slow only the newest survives."""
        ...

    def terminal(self, key: Key, message: bytes, claimed_before: float | None = None) -> Awaitable[None]:
        """Sends the terminal message to all subscribers, once to each, and ends their following.

        Args:
            key: which request.
            message: how it ended.
            claimed_before: where several processes send outcomes: also to those for whom one of them took that over
                before this time (wall-clock seconds), as it may have died since.
        """
        ...
