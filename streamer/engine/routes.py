"""A route: one action with everything bound that its requests need. After start nothing looks up a name."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum

from streamer.contracts.handlers import Handler
from streamer.engine.pipeline import Pipeline
from streamer.engine.validation import Validator


class Mode(StrEnum):
    """What an action says about how it is answered."""

    AUTO = "auto"
    """The estimate decides."""
    SYNC = "sync"
    """Always at once."""
    ASYNC = "async"
    """Always queued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and with what waits between, a queued request is attempted."""

    max_attempts: int = 3
    initial: float = 1.0
    factor: float = 2.0
    max: float = 30.0
    jitter: float = 0.2

    def delay(self, attempt: int, generator: random.Random) -> float:
        """Seconds to wait after that attempt (1 is the first) has failed."""
        # A large attempt number must not overflow: 64 doublings are beyond any maximum.
        delay = min(self.max, self.initial * self.factor ** min(attempt - 1, 64))
        return delay * generator.uniform(1 - self.jitter, 1 + self.jitter)


@dataclass(slots=True, kw_only=True)
class Route:
    """One action, compiled."""

    name: str
    handler: Handler
    pipeline: Pipeline
    validator: Validator | None = None
    immediate: bool = False
    """The whole pipeline may be stepped without a task."""
    mode: Mode = Mode.AUTO
    estimate: float = 0.0
    threshold: float = 5.0
    max_wait: float | None = None
    timeout: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int | None = None
    priority: int = 0
    description: str = ""
    schema: object = None
    permissions: frozenset[str] = frozenset()
    """What a caller must hold, all of it; empty: everybody may."""
    expires_after: float | None = None
    """Seconds after which a request that still waits in the queue ends; None: never."""
    cancel_after: float | None = None
    """Seconds without anybody who follows it after which a queued request is cancelled; None: never."""
    queued: bool = field(init=False)
    """What happens to a request without a `wait` of its own."""

    def __post_init__(self) -> None:
        self.queued = self.queues(None)

    def queues(self, wait: float | None) -> bool:
        """Whether a request whose client is ready to wait so many seconds goes into the queue."""
        return is_queued(self.mode, self.estimate, self.threshold, wait, self.max_wait)


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
