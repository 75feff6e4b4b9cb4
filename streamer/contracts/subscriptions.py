"""Which connections get the messages of which requests."""

from __future__ import annotations

from typing import Protocol

from streamer.contracts.stores import Key


class Orphans(Protocol):
    """Requests that end with their subscribers, and have lost the last one: `OrphanCanceller` cancels them.

    Every method raises StoreError when it cannot be done right now.
    """

    async def is_orphaned(self, key: Key, /) -> bool:
        """Whether a subscriber has left the request, its time since then is over, and it has no subscriber."""
        ...

    async def orphaned(self, limit: int = 100, /) -> list[Key]:
        """Requests that a subscriber left, and whose time since then is over; `is_orphaned` says whether they have
        another subscriber. They may be returned again until `clear`.
        """
        ...

    async def clear(self, key: Key, /) -> None:
        """The request needs no further look, until a subscriber leaves it again."""
        ...


class Subscriptions(Orphans, Protocol):
    """Subscriptions that are stored, where requests run in other processes than hold the connections.

    A connection manager for such connections offers this as `SharedConnections.subscriptions`. Every method is strongly
    consistent: what one process has written, all others see when the call has returned. Every method raises
    StoreError when it cannot be done right now.
    """

    async def add(self, key: Key, connection_id: str, /, ends_after: float | None = None) -> None:
        """The connection gets the messages of the request from now on; no outcome was sent to it yet.

        Args:
            key: which request.
            connection_id: whose connection.
            ends_after: the request ends so many seconds after the last of its subscribers has; None: it does not.
        """
        ...

    async def of(self, key: Key, /, claimed_before: float | None = None) -> list[str]:
        """The connections that are subscribed to the request, and whose outcome no process has claimed.

        Args:
            key: which request.
            claimed_before: also those whose outcome was claimed before that time (wall-clock seconds): the process
                that claimed it may have died before it was sent.
        """
        ...

    async def claim(self, key: Key, connection_id: str, /, claimed_before: float | None = None) -> bool:
        """Takes over the sending of the outcome to this connection: true for one caller alone, of all that try.

        False also when the connection is not subscribed (any more). `claimed_before` as in `of`.
        """
        ...

    async def leave(self, connection_id: str, /) -> list[tuple[Key, float]]:
        """The connection has ended: its subscriptions of requests that end with their subscribers end, too.

        Returns those requests, each with the seconds after which it ends if it has no subscriber then. They are also
        noted, for `orphaned`.
        """
        ...
