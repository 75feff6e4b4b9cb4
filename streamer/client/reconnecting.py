"""When a broken connection is tried again, and when no more."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from streamer.client.errors import ConnectionFailed
from streamer.client.options import checked_seconds
from streamer.client.state import ConnectionState
from streamer.core.clock import Clock

_FIRST_DELAY: Final = 0.5
_MOST_DOUBLINGS: Final = 30

logger = logging.getLogger("streamer.client")


class BackOff:
    """Exponential back-off with full jitter, as in Marc Brooker's "Exponential Backoff And Jitter" (AWS, 2015).

    The first try is due at once. Only a connection that has lasted as long as the longest delay starts the count
    anew, so that a service that takes connections and drops them is not hammered.

    Args:
        clock: where time comes from.
        longest: seconds; no delay is longer.
    """

    def __init__(self, clock: Clock, longest: float) -> None:
        self._clock = clock
        self._longest = checked_seconds("max_reconnect_delay", longest)
        self._tries = 0
        self._opened_at: float | None = None

    @property
    def tries(self) -> int:
        """How many tries there have been without a connection that lasted."""
        return self._tries

    def next_delay(self) -> float:
        """Counts one more try and returns how many seconds to wait before it."""
        doublings = min(self._tries - 1, _MOST_DOUBLINGS)
        self._tries += 1
        if doublings < 0:
            return 0.0
        ceiling = min(self._longest, _FIRST_DELAY * 2**doublings)
        return random.uniform(0, ceiling)  # noqa: S311 - jitter is no secret

    async def wait(self, delay: float) -> None:
        """Returns after so many seconds."""
        if delay > 0:
            await self._clock.sleep(delay)

    def begin_anew(self) -> None:
        """What ended the last connection is known, and will not end the next one: it is due at once."""
        self._tries = 0

    def opened(self) -> None:
        """A connection is open."""
        self._opened_at = self._clock.monotonic()

    def ended(self) -> bool:
        """The connection has ended. Whether it had lasted."""
        lasted = self._opened_at is not None and self._clock.monotonic() - self._opened_at >= self._longest
        if lasted:
            self._tries = 0
        self._opened_at = None
        return lasted


class Reconnector:
    """Tries until there is a connection, in a task of its own.

    Args:
        needed: whether the connection is still broken and wanted.
        attempt: tries once; raises ConnectionFailed.
        gave_up: called when the service has refused for good.
        back_off: when each try is due.
        report: called before each wait.
    """

    def __init__(
        self,
        needed: Callable[[], bool],
        attempt: Callable[[], Awaitable[None]],
        gave_up: Callable[[ConnectionFailed], None],
        back_off: BackOff,
        report: Callable[[ConnectionState], None],
    ) -> None:
        self._report = report
        self._needed = needed
        self._attempt = attempt
        self._gave_up = gave_up
        self._back_off = back_off
        self._task: asyncio.Task[ConnectionFailed | None] | None = None

    def start(self, why: str = "") -> asyncio.Task[ConnectionFailed | None]:
        """The task that tries; a new one if none is at it.

        Args:
            why: how the last connection ended.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(why))
        return self._task

    async def settled(self) -> None:
        """Returns when there is a connection again, or none is wanted any more.

        Raises:
            ConnectionFailed: the service refused for good.
        """
        task = self.start()
        await asyncio.wait([task])
        if not task.cancelled() and (refusal := task.result()) is not None:
            raise refusal

    async def stop(self) -> None:
        """Ends the trying."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def forget(self) -> None:
        """The loop of the task has ended, or is another process's."""
        self._task = None

    async def _run(self, why: str) -> ConnectionFailed | None:
        while self._needed():
            delay = self._back_off.next_delay()
            self._report(ConnectionState("waiting", tries=self._back_off.tries, delay=delay, reason=why))
            await self._back_off.wait(delay)
            try:
                await self._attempt()
            except ConnectionFailed as error:
                if not error.reconnect:
                    self._gave_up(error)
                    return error
                why = error.reason
                logger.info("Not connected again yet: %s", error)
        return None
