"""Where a delivery finds the subscribers of a request: all that differs between one process and many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from streamer.contracts.stores import Key

Send = Callable[[str], Awaitable[None]]
"""Sends something to one connection."""


class Subscribers(Protocol):
    """The connections that get the messages of each request. A connection is added when its acknowledgment was sent.

    `LocalSubscriptions` keeps them in this process, `SharedSubscribers` where all processes see them. What the methods
    return is awaited; it is `DONE` where nothing has to be waited for.
    """

    here: Mapping[str, Collection[Key]]
    """By connection that this process holds: the requests that it is known to be subscribed to. For reading only."""

    def add(self, key: Key, connection_id: str, ends_after: float | None, /) -> Awaitable[None]:
        """The connection gets the request's messages from now on. `DONE`: none of them can have been missed.

        `ends_after` is the number of seconds after which the request is cancelled that has lost its last subscriber;
        None: it goes on without any.

        Raises:
            StoreError: it could not be stored.
        """
        ...

    def each(self, key: Key, send: Send, /) -> Awaitable[None]:
        """Calls `send` with each subscriber."""
        ...

    def once(self, key: Key, send: Send, claimed_before: float | None = None, /) -> Awaitable[None]:
        """Calls `send` with each subscriber that nobody else sends the outcome to, and never again with the same one.

        With `claimed_before` also with those whose outcome another process began to send before that time
        (wall-clock seconds): it may have died since.
        """
        ...

    async def claim(self, key: Key, connection_id: str, /) -> bool:
        """Takes over the sending of the outcome to this connection: nobody else does from now on.

        False when the connection is not subscribed, or somebody else has taken it over.

        Raises:
            StoreError: that cannot be decided now.
        """
        ...

    def leave(self, connection_id: str, /) -> Awaitable[None]:
        """The connection has ended, and its subscriptions with it."""
        ...
