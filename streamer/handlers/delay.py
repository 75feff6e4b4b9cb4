"""Waits, to simulate long work."""

from __future__ import annotations

from typing import Final

from streamer.contracts.handlers import BaseHandler
from streamer.core.clock import Clock, SystemClock
from streamer.core.messages import Reporter, Request, Result
from streamer.core.units import format_duration

STEPS: Final = 10


class DelayHandler(BaseHandler):
    """Answers after `delay` seconds, which is also its estimate: `{"message": …, "duration": "300ms"}`."""

    def __init__(self, delay: float, *, clock: Clock | None = None) -> None:
        super().__init__(estimated_duration=delay)
        self._delay = delay
        self._clock = clock or SystemClock()

    async def process(self, _request: Request, /) -> Result:
        """Waits once."""
        await self._clock.sleep(self._delay)
        return Result(data={"message": "Operation completed", "duration": format_duration(self._delay)})

    async def process_with_progress(self, _request: Request, reporter: Reporter, /) -> Result:
        """Waits in ten steps and reports each; the result also contains `steps`."""
        for step in range(1, STEPS + 1):
            await self._clock.sleep(self._delay / STEPS)
            reporter.report(step / STEPS * 100, f"Step {step} of {STEPS} completed")
        return Result(
            data={
                "message": "Operation completed with progress",
                "duration": format_duration(self._delay),
                "steps": STEPS,
            }
        )
