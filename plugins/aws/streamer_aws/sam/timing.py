"""The time limits of the functions, and actions that exceed them. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from streamer.config.settings import ActionSettings, Settings

SOCKET: Final = 29
"""Seconds that API Gateway waits for the function of a route."""
LONGEST: Final = 900
"""Maximum seconds of any function on Lambda."""
MARGIN: Final = 30
"""Seconds of a processor in addition to the handler's own: a cold start, the claim, and storing the outcome."""
SWEEP: Final = 60
"""Seconds of one sweep: the interval of the schedule."""


def processor(settings: Settings) -> int:
    """Seconds that the processor needs: those of the longest attempt that may be queued, and the margin.

    A client can have any action queued, unless its mode is `sync`.
    """
    attempts = [action.timeout for action in settings.actions.values() if action.mode != "sync" and not _long(action)]
    longest = max((LONGEST if timeout is None else timeout for timeout in attempts), default=0.0)
    return min(LONGEST, max(SWEEP, math.ceil(longest) + MARGIN))


def visibility(timeout: int) -> int:
    """Seconds until the queue shows a message again: six times the processor's timeout, as Lambda's documentation
    recommends. The queue's own limit is twelve hours, far more than six times fifteen minutes.
    """
    return 6 * timeout


def misfits(settings: Settings) -> Iterator[str]:
    """One sentence for each action that may exceed the functions' time."""
    threshold = settings.service.async_threshold
    if threshold > SOCKET:
        yield (
            f"service.async_threshold is {threshold:g}s, but API Gateway ends an action that is answered at once after "
            f"{SOCKET}s; set it to less than {SOCKET}s"
        )
    for action in settings.actions.values():
        yield from _misfits(action)


def _misfits(action: ActionSettings) -> Iterator[str]:
    if action.mode == "sync":
        if (action.estimated_duration or 0.0) >= SOCKET:
            yield (f"actions.{action.name} is answered at once, but API Gateway waits only {SOCKET}s; set mode: async")
    elif _long(action):
        yield (
            f"actions.{action.name}: Lambda ends every function after {LONGEST}s, so its queued requests need a "
            "'streamer worker' outside of Lambda"
        )


def _long(action: ActionSettings) -> bool:
    """Whether no function on Lambda may claim a request of it."""
    limit = LONGEST - MARGIN
    return (action.estimated_duration or 0.0) > limit if action.timeout is None else action.timeout > limit
