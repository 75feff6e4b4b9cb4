"""Sends outcomes to connections that are behind: one at a time, each read from the store when the client can receive
it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from streamer.contracts.connections import ConnectionManager
from streamer.contracts.stores import Key
from streamer.core.errors import ConnectionGone, Error, StoreError
from streamer.engine import refusals

_AGAIN: Final = 1.0
"""Seconds between tries to read an outcome while the store does not respond."""

Deliver = Callable[[Key, str], Awaitable[None]]


class _Line:
    """The pending outcomes of one connection."""

    __slots__ = ("keys", "lock", "task", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.keys: deque[Key] = deque()
        self.task: asyncio.Task[None] | None = None


class Pacing:
    """Gives each connection one turn at a time: the next one when the client has received everything before.

    The outcome is in the store, so only its key is kept in memory while the client is behind. Nothing is kept for other
    connections.

    Args:
        connections: know which connections are behind.
        deliver: reads one outcome and sends it; raises StoreError when it cannot be read.
        logger: for outcomes that could not be read.
    """

    def __init__(self, connections: ConnectionManager, deliver: Deliver, logger: Any) -> None:
        self._connections = connections
        self._deliver = deliver
        self._logger = logger
        self._lines: dict[str, _Line] = {}
        self._stopping = asyncio.Event()

    def __contains__(self, connection_id: str) -> bool:
        """Whether an outcome waits for the connection to catch up."""
        return connection_id in self._lines

    def behind(self, connection_id: str) -> bool:
        """Whether the connection must catch up before it can get an outcome. False for one that has ended."""
        try:
            return self._connections.room(connection_id) is not None
        except ConnectionGone:
            return False

    def later(self, key: Key, connection_id: str) -> None:
        """Sends the outcome when the connection has caught up."""
        line = self._lines.get(connection_id)
        if line is None:
            line = self._lines[connection_id] = _Line()
        line.keys.append(key)
        if line.task is None:
            line.users += 1
            line.task = asyncio.create_task(self._catch_up(connection_id, line))

    def withdraw(self, key: Key, connection_id: str) -> None:
        """The outcome must not be sent later after all."""
        line = self._lines.get(connection_id)
        if line is not None and key in line.keys:
            line.keys.remove(key)

    @asynccontextmanager
    async def turn(self, connection_id: str) -> AsyncIterator[None]:
        """The caller alone may send outcomes to the connection, which has caught up.

        Raises:
            ConnectionGone: the connection has ended.
            Error: OVERLOADED: the service is shutting down, and does not wait for slow clients.
        """
        line = self._lines.get(connection_id)
        if line is None:
            line = self._lines[connection_id] = _Line()
        line.users += 1
        try:
            async with line.lock:
                await self._room(connection_id)
                yield
        finally:
            self._left(connection_id, line)

    def stop(self) -> None:
        """Stops waiting for connections: the store keeps unsent outcomes for the owners' next connections."""
        self._stopping.set()

    async def settle(self) -> None:
        """Returns when nothing waits to be sent later."""
        while tasks := {line.task for line in self._lines.values() if line.task is not None}:
            await asyncio.wait(tasks)

    async def _room(self, connection_id: str) -> None:
        while (room := self._connections.room(connection_id)) is not None:
            if self._stopping.is_set():
                raise refusals.draining()
            caught_up = asyncio.ensure_future(room)
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait({caught_up, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()

    async def _catch_up(self, connection_id: str, line: _Line) -> None:
        try:
            while line.keys:
                async with line.lock:
                    await self._room(connection_id)
                    if not line.keys:
                        break
                    if not await self._delivered(line.keys.popleft(), connection_id):
                        line.keys.clear()
        except (ConnectionGone, Error):
            line.keys.clear()
        finally:
            line.task = None
            self._left(connection_id, line)

    async def _delivered(self, key: Key, connection_id: str) -> bool:
        """Returns False if the outcome could not be read until the service shut down: the store keeps it."""
        reported = False
        while True:
            try:
                await self._deliver(key, connection_id)
            except StoreError as problem:
                if not reported:
                    reported = True
                    self._logger.warning(
                        "an outcome could not be read; trying again", request_id=key[1], error=str(problem)
                    )
            else:
                return True
            if self._stopping.is_set():
                return False
            self._connections.room(connection_id)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _AGAIN)

    def _left(self, connection_id: str, line: _Line) -> None:
        line.users -= 1
        if not line.users and self._lines.get(connection_id) is line:
            del self._lines[connection_id]
