"""What `/ping` answers: the contract of Bedrock AgentCore Runtime for containers, which keeps a busy one alive."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from streamer.core.clock import Clock

HEALTHY: Final = "Healthy"
BUSY: Final = "HealthyBusy"


class PingStatus:
    """Healthy, or busy, and since when.

    Args:
        busy: whether queued work runs.
        clock: the service's.
    """

    def __init__(self, busy: Callable[[], bool], clock: Clock) -> None:
        self._busy = busy
        self._clock = clock
        self._was_busy = False
        self._since = clock.now()

    def answer(self) -> str:
        """The answer's JSON. `time_of_last_update` (seconds since 1970) moves only when a call finds another status."""
        is_busy = self._busy()
        if is_busy != self._was_busy:
            self._was_busy = is_busy
            self._since = self._clock.now()
        return json.dumps({"status": BUSY if is_busy else HEALTHY, "time_of_last_update": int(self._since)})
