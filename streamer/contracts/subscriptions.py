"""Subscriptions: which connections get the messages of which requests."""

from __future__ import annotations

from typing import Protocol

from streamer.contracts.stores import Key


class Orphans(Protocol):
    """Finds requests that depend on their subscribers and have lost the last one, for the `OrphanCanceller`.

    Every method raises StoreError when it cannot be done now.
    """

    async def is_orphaned(self, key: Key, /) -> bool:
        """Whether a subscriber has left the request, its grace period is over, and it has no subscriber now."""
        ...

    async def orphaned(self, limit: int = 100, /) -> list[Key]:
        """Requests that a subscriber has left and whose grace period is over; `is_orphaned` decides whether they have
        another subscriber. They may be returned again until `clear`.
        """
        ...

    async def clear(self, key: Key, /) -> None:
        """Removes the request from `orphaned`, until a subscriber leaves it again."""
        ...


class Subscriptions(Orphans, Protocol):
    """Stored subscriptions, for requests that run in other processes than hold the connections.

    A connection manager for such connections offers them as `SharedConnections.subscriptions`. Every method is strongly
    consistent: when a call has returned, all processes see its effect. Every method raises StoreError when it cannot be
    done now.
    """

    async def add(self, key: Key, connection_id: str, /, ends_after: float | None = None) -> None:
        """Subscribes the connection to the messages of the request; no outcome was sent to it yet.

        Args:
            key: the request.
            connection_id: the connection.
            ends_after: seconds after the end of the last subscriber until the request is cancelled; None: it is not
                cancelled.
        """
        ...

    async def of(self, key: Key, /, claimed_before: float | None = None) -> list[str]:
        """The connections that are subscribed to the request and whose outcome no process has claimed.

        Args:
            key: the request.
            claimed_before: also include connections whose outcome was claimed before that time (wall-clock seconds),
                because the process that claimed it may have died before it was sent.
        """
        ...

    async def claim(self, key: Key, connection_id: str, /, claimed_before: float | None = None) -> bool:
        """Claims the sending of the outcome to this connection: true for exactly one of all callers.

        False also when the connection is not subscribed (any longer). `claimed_before` as in `of`.
        """
        ...

    async def leave(self, connection_id: str, /) -> list[tuple[Key, float]]:
        """Ends the subscriptions of a connection that has ended.

        Returns the requests that depend on their subscribers, each with the seconds after which it is cancelled unless
        it has a subscriber then. They are also recorded, for `orphaned`.
        """
        ...
