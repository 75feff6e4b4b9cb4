"""Sends the payload back."""

from __future__ import annotations

from streamer.contracts.handlers import BaseHandler
from streamer.core.clock import Clock, SystemClock, timestamp
from streamer.core.messages import Request, Result


class EchoHandler(BaseHandler):
    """Answers with `{"echo": payload, "action": its name, "received_at": RFC 3339 with milliseconds}`.

    Its estimate is 10 ms.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(estimated_duration=0.01)
        self._now = (clock or SystemClock()).now
        self._millisecond = -1
        self._received_at = ""

    async def process(self, request: Request, /) -> Result:
        """Returns the payload unchanged."""
        now = self._now()
        millisecond = int(now * 1000)
        # Formatting a time costs more than the rest of the answer, and under load many requests share a millisecond.
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._received_at = timestamp(now)
        return Result(data={"echo": request.payload, "action": request.action, "received_at": self._received_at})
