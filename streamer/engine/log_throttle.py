"""Limits error lines of one kind to one per second, each with the number of omitted lines."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.clock import Clock

INTERVAL: Final = 1.0
"""Seconds between two lines of one kind."""


class LogThrottle:
    """Writes error lines, one of a kind at a time.

    Args:
        logger: gets the lines.
        clock: measures the interval.
    """

    def __init__(self, logger: Any, clock: Clock) -> None:
        self._logger = logger
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def error(self, event: str, **context: Any) -> None:
        """Writes the line, with the number of omitted lines in `unsaid`; or counts it as omitted."""
        now = self._clock.monotonic()
        logged = self._logged.get(event)
        if logged is not None and now - logged < INTERVAL:
            self._unsaid[event] = self._unsaid.get(event, 0) + 1
            return
        self._logged[event] = now
        if unsaid := self._unsaid.pop(event, 0):
            context["unsaid"] = unsaid
        self._logger.error(event, **context)
