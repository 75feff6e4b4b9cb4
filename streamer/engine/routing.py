"""At once, or queued? Pure."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What an action says about how it is answered."""

    AUTO = "auto"
    """The estimate decides."""
    SYNC = "sync"
    """Always at once."""
    ASYNC = "async"
    """Always queued."""


def is_queued(
    mode: Mode, estimate: float, threshold: float, wait: float | None = None, max_wait: float | None = None
) -> bool:
    """Whether the request goes into the queue.

    Args:
        mode: the action's wish; `sync` and `async` settle it.
        estimate: seconds that the action usually takes.
        threshold: the service's `async_threshold` in seconds; at or above it work is queued.
        wait: seconds that the client is ready to wait; replaces the threshold.
        max_wait: the most that `wait` may ask for; None is the threshold.
    """
    if mode is not Mode.AUTO:
        return mode is Mode.ASYNC
    if wait is not None:
        threshold = min(wait, threshold if max_wait is None else max_wait)
    return estimate >= threshold


def reason(
    mode: Mode, estimate: float, threshold: float, wait: float | None = None, max_wait: float | None = None
) -> str:
    """One sentence on why `is_queued` decides as it does."""
    if mode is not Mode.AUTO:
        return f"mode is {mode.value}"
    if wait is not None:
        limit = threshold if max_wait is None else max_wait
        allowed = min(wait, limit)
        relation = "at or above" if estimate >= allowed else "below"
        return f"the estimate of {estimate:g}s is {relation} the {allowed:g}s that the client may wait"
    relation = "at or above" if estimate >= threshold else "below"
    return f"the estimate of {estimate:g}s is {relation} the threshold of {threshold:g}s"
