"""EventBridge's schedule: calls a function periodically."""

from __future__ import annotations

from streamer.core.clock import Clock
from streamer_aws.emulator.events import scheduled_event
from streamer_aws.emulator.functions import FunctionError, Invoke, Throttled


async def run_schedule(name: str, every: float, *, invoke: Invoke, region: str, clock: Clock) -> None:
    """Calls the function at each interval until it is cancelled. A failed call is not repeated before the next
    interval.

    Args:
        name: of the function.
        every: seconds from one call's start to the next; a call that takes longer delays it.
        invoke: calls it.
        region: for the event.
        clock: time.
    """
    due = clock.monotonic()
    while True:
        due = max(due + every, clock.monotonic())
        await clock.sleep(due - clock.monotonic())
        try:
            await invoke(name, scheduled_event(name, region, clock.now()))
        except (FunctionError, Throttled):
            # The function has already logged it.
            continue
