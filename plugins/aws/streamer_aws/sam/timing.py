"""How long the functions may take, and what of the file does not fit into that. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from streamer.config.settings import ActionSettings, Settings

SOCKET: Final = 29
"""Seconds that API Gateway waits for the function of a route."""
LONGEST: Final = 900
"""Seconds that Lambda lets any function run."""
MARGIN: Final = 30
"""Seconds of a processor beside the handler's own: a cold start, the claim, and what is stored at the end."""
SWEEP: Final = 60
"""Seconds of one sweep: as long as the time to the next."""


def processor(settings: Settings) -> int:
    """Seconds that the processor needs: those of the longest attempt that may be queued, and the margin.

    A client that does not want to wait may have any action queued, unless its mode is `sync`.
    """
    attempts = [action.timeout for action in settings.actions.values() if action.mode != "sync" and not _long(action)]
    longest = max((LONGEST if timeout is None else timeout for timeout in attempts), default=0.0)
    return min(LONGEST, max(SWEEP, math.ceil(longest) + MARGIN))


def visibility(timeout: int) -> int:
    """Seconds until the queue shows a message again: six times the processor's timeout, as Lambda's documentation asks.
    The queue's own limit, twelve hours, is far beyond six times fifteen minutes.
    """
    return 6 * timeout


def misfits(settings: Settings) -> Iterator[str]:
    """One sentence for each action that the functions' time may not suffice for."""
    threshold = settings.service.async_threshold
    if threshold > SOCKET:
        yield (
            f"service.async_threshold is {threshold:g}s: an action that takes {SOCKET}s or longer and is answered at "
            f"once is ended by API Gateway; make it less than {SOCKET}s"
        )
    for action in settings.actions.values():
        yield from _misfits(action)


def _misfits(action: ActionSettings) -> Iterator[str]:
    if action.mode == "sync":
        if (action.estimated_duration or 0.0) >= SOCKET:
            yield (
                f"actions.{action.name}: it is answered at once, but API Gateway waits {SOCKET}s only; set mode: async"
            )
    elif _long(action):
        yield (
            f"actions.{action.name}: Lambda ends every function after {LONGEST}s, so its queued requests are left to "
            "'streamer worker', which must run somewhere"
        )


def _long(action: ActionSettings) -> bool:
    """Whether no function on Lambda may take a request of it."""
    limit = LONGEST - MARGIN
    return (action.estimated_duration or 0.0) > limit if action.timeout is None else action.timeout > limit
