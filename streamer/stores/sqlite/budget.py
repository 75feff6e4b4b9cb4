"""Limits how many bytes are read at one time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final


class ByteBudget:
    """Bytes that may be in use at one time; first come, first served.

    Args:
        total: of all users. A user that needs more waits until nobody else uses any.
    """

    def __init__(self, total: int) -> None:
        self._total: Final = max(total, 1)
        self._free = self._total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Within this context, this many bytes are in use."""
        size = min(size, self._total)
        if self._waiting or size > self._free:
            await self._wait(size)
        else:
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._serve()

    async def _wait(self, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # It became its turn and was cancelled at the same moment.
                self._free += size
            self._serve()
            raise

    def _serve(self) -> None:
        waiting = self._waiting
        while waiting:
            size, turn = waiting[0]
            if not turn.cancelled():
                if size > self._free:
                    return
                self._free -= size
                turn.set_result(None)
            waiting.popleft()
