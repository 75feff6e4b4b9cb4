"""The subscribers of requests: the only difference between delivery in one process and in many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from streamer.contracts.stores import Key

Send = Callable[[str], Awaitable[None]]
"""Sends a message to one connection."""


class Subscribers(Protocol):
    """The connections that get the messages of each request. A connection is added when its acknowledgment was sent.

    `LocalSubscriptions` keeps them in this process, `SharedSubscribers` stores them for all processes. The methods'
    results are awaited; they are `DONE` where nothing must be awaited.
    """

    here: Mapping[str, Collection[Key]]
    """By connection of this process: the requests that it is subscribed to. Read-only."""

    def add(self, key: Key, connection_id: str, ends_after: float | None, /) -> Awaitable[None]:
        """Subscribes the connection to the request's messages. `DONE`: it cannot have missed any.

        `ends_after` is the number of seconds after which the request is cancelled once it has lost its last subscriber;
        None: it continues without subscribers.

        Raises:
            StoreError: it could not be stored.
        """
        ...

    def each(self, key: Key, send: Send, /) -> Awaitable[None]:
        """Calls `send` with each subscriber."""
        ...

    def once(self, key: Key, send: Send, claimed_before: float | None = None, /) -> Awaitable[None]:
        """Calls `send` with each subscriber that no other process sends the outcome to, and never again with the same
        one.

        With `claimed_before`, also with those whose outcome another process claimed before that time (wall-clock
        seconds): it may have died since.
        """
        ...

    async def claim(self, key: Key, connection_id: str, /) -> bool:
        """Claims the sending of the outcome to this connection: no other process sends it.

        False when the connection is not subscribed, or another process has claimed it.

        Raises:
            StoreError: this cannot be decided now.
        """
        ...

    def leave(self, connection_id: str, /) -> Awaitable[None]:
        """The connection has ended, and its subscriptions with it."""
        ...
