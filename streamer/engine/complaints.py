"""The same trouble told now and then, with how often it was met: a store that refuses refuses thousands."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.clock import Clock

INTERVAL: Final = 1.0
"""Seconds between two lines of one kind."""


class Complaints:
    """Error lines of which one of a kind is written at a time.

    Args:
        logger: gets the lines.
        clock: time.
    """

    def __init__(self, logger: Any, clock: Clock) -> None:
        self._logger = logger
        self._clock = clock
        self._told: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def tell(self, event: str, **context: Any) -> None:
        """Writes the line, with `unsaid` others of its kind since the last one; or counts it as one of those."""
        now = self._clock.monotonic()
        told = self._told.get(event)
        if told is not None and now - told < INTERVAL:
            self._unsaid[event] = self._unsaid.get(event, 0) + 1
            return
        self._told[event] = now
        if unsaid := self._unsaid.pop(event, 0):
            context["unsaid"] = unsaid
        self._logger.error(event, **context)
