"""Whether the service's event loop turns, and how late it is."""

from __future__ import annotations

from typing import Final

from streamer.admin.counters import Histogram
from streamer.core.clock import Clock

INTERVAL: Final = 0.5
"""Seconds between two beats."""
ALIVE: Final = 5.0
"""Seconds without a beat after which the loop counts as stuck."""


class Heartbeat:
    """Beats on the event loop; any thread may ask when it last did.

    Args:
        clock: the service's.
        lag: gets how late each beat was, in seconds.
    """

    def __init__(self, clock: Clock, lag: Histogram) -> None:
        self._clock = clock
        self._lag = lag
        self._last = clock.monotonic()

    async def run(self) -> None:
        """Beats until it is cancelled."""
        while True:
            self._last = began = self._clock.monotonic()
            await self._clock.sleep(INTERVAL)
            self._lag.add(self._clock.monotonic() - began - INTERVAL)

    @property
    def silence(self) -> float:
        """Seconds since the last beat."""
        return max(0.0, self._clock.monotonic() - self._last)

    @property
    def alive(self) -> bool:
        """Whether the loop turned within the last `ALIVE` seconds."""
        return self.silence < ALIVE
