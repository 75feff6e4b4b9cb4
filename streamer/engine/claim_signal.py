"""Decides when a worker must claim."""

from __future__ import annotations

import asyncio

from streamer.contracts.stores import Key
from streamer.core.clock import Clock


class ClaimSignal:
    """Whether a claim may find something, and wakes the worker that waits for that.

    Args:
        clock: time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wake = asyncio.Event()
        self._anything = True
        """There may be requests that no claim has seen."""
        self._announced: set[Key] = set()
        """Stored since the last claim was sent, and not returned by it."""
        self._alarm: asyncio.Future[None] | None = None
        self._alarm_at = 0.0
        self.took_all = False
        """The last claim was not limited by free slots."""

    @property
    def wanted(self) -> bool:
        """Whether there is a reason to claim."""
        return self._anything or bool(self._announced)

    def wake(self) -> None:
        """There may be something to claim."""
        self._anything = True
        self._wake.set()

    def announce(self, key: Key) -> None:
        """This request was stored."""
        self._announced.add(key)
        self._wake.set()

    def sent(self) -> None:
        """A claim is sent now: it sees everything that was stored before."""
        self._anything = self.took_all = False
        self._announced.clear()

    def brought(self, key: Key) -> None:
        """A claim has returned this request."""
        self._announced.discard(key)

    async def wait(self, longest: float) -> None:
        """Returns when woken, at the latest after this many seconds: then a claim is necessary."""
        if not self._wake.is_set():
            self._set_alarm(longest)
            await self._wake.wait()
        self._wake.clear()

    def _set_alarm(self, delay: float) -> None:
        """Keeps an alarm that rings earlier."""
        at = self._clock.monotonic() + delay
        if self._alarm is not None:
            if self._alarm_at <= at:
                return
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = asyncio.ensure_future(self._clock.sleep(delay))
        self._alarm.add_done_callback(self._rang)

    def _rang(self, alarm: asyncio.Future[None]) -> None:
        if alarm is self._alarm:
            self._alarm = None
        if not alarm.cancelled():
            self.wake()

    def close(self) -> None:
        """Cancels the alarm."""
        if self._alarm is not None:
            self._alarm.cancel()
