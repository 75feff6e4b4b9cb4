"""Subscribers that are stored for all processes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from streamer.contracts.stores import Key
from streamer.contracts.subscriptions import Subscriptions
from streamer.core.errors import StoreError
from streamer.engine.connection_ends import ConnectionEnds
from streamer.engine.subscribers import Send


class SharedSubscribers:
    """Subscribers for connections that other processes send to as well.

    Args:
        subscriptions: the stored ones.
        ends: ends the subscriptions of connections that have ended.
        logger: for failed reads and writes.
        holds_sockets: added connections are sockets of this process, which learns what is sent to them and when they
            end.
    """

    def __init__(
        self, subscriptions: Subscriptions, ends: ConnectionEnds, logger: Any, *, holds_sockets: bool = False
    ) -> None:
        self._here: dict[str, set[Key]] = {}
        self.here: Mapping[str, Collection[Key]] = self._here
        self._holds_sockets = holds_sockets
        self._subscriptions = subscriptions
        self._ends = ends
        self._logger = logger

    async def add(self, key: Key, connection_id: str, ends_after: float | None, /) -> None:
        if self._holds_sockets:
            # First: its outcome may arrive before the store has answered.
            self._here.setdefault(connection_id, set()).add(key)
        try:
            await self._subscriptions.add(key, connection_id, ends_after)
        except StoreError:
            self.ended_here(key, connection_id)
            raise

    async def each(self, key: Key, send: Send, /) -> None:
        """Progress that cannot be sent is only logged."""
        try:
            connections = await self._subscriptions.of(key)
        except StoreError as problem:
            self._logger.warning("progress was not sent", request_id=key[1], error=str(problem))
            return
        for connection_id in connections:
            await send(connection_id)

    async def once(self, key: Key, send: Send, claimed_before: float | None = None, /) -> None:
        """An outcome that cannot be sent now is sent by a search for undelivered outcomes, or when the owner
        resumes.
        """
        try:
            for connection_id in await self._subscriptions.of(key, claimed_before):
                if await self._subscriptions.claim(key, connection_id, claimed_before):
                    self.ended_here(key, connection_id)
                    await send(connection_id)
        except StoreError as problem:
            self._logger.warning("an outcome was not sent yet", request_id=key[1], error=str(problem))

    async def claim(self, key: Key, connection_id: str, /) -> bool:
        self.ended_here(key, connection_id)
        return await self._subscriptions.claim(key, connection_id)

    async def leave(self, connection_id: str, /) -> None:
        self._here.pop(connection_id, None)
        await self._ends.ended(connection_id)

    def ended_here(self, key: Key, connection_id: str) -> None:
        """The connection gets no more messages of the request."""
        keys = self._here.get(connection_id)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del self._here[connection_id]
