"""A route: one action, compiled for its requests. After the start, no names are looked up."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum

from streamer.contracts.handlers import Handler
from streamer.engine.pipeline import Pipeline
from streamer.engine.validation import Validator


class Mode(StrEnum):
    """Whether requests of an action are answered directly or queued."""

    AUTO = "auto"
    """The estimate decides."""
    SYNC = "sync"
    """Always directly."""
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
        # A large attempt number must not overflow: 64 doublings exceed any maximum.
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
    """The whole pipeline can be stepped without a task."""
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
    """The permissions that a client needs, all of them; empty: none."""
    expires_after: float | None = None
    """Seconds after which a request that still waits in the queue ends; None: never."""
    cancel_after: float | None = None
    """Seconds without a subscriber after which a queued request is cancelled; None: never."""
    queued: bool = field(init=False)
    """The decision for a request without its own `wait`."""

    def __post_init__(self) -> None:
        self.queued = self.queues(None)

    def queues(self, wait: float | None) -> bool:
        """Whether a request whose client waits this many seconds is queued."""
        return is_queued(self.mode, self.estimate, self.threshold, wait, self.max_wait)


def is_queued(
    mode: Mode, estimate: float, threshold: float, wait: float | None = None, max_wait: float | None = None
) -> bool:
    """Whether the request is queued.

    Args:
        mode: of the action; `sync` and `async` decide.
        estimate: the action's usual duration in seconds.
        threshold: the service's `async_threshold` in seconds; requests with at least this estimate are queued.
        wait: seconds that the client waits; replaces the threshold.
        max_wait: the maximum of `wait`; None is the threshold.
    """
    if mode is not Mode.AUTO:
        return mode is Mode.ASYNC
    if wait is not None:
        threshold = min(wait, threshold if max_wait is None else max_wait)
    return estimate >= threshold


def reason(
    mode: Mode, estimate: float, threshold: float, wait: float | None = None, max_wait: float | None = None
) -> str:
    """One sentence with the reason for the decision of `is_queued`."""
    if mode is not Mode.AUTO:
        return f"mode is {mode.value}"
    if wait is not None:
        limit = threshold if max_wait is None else max_wait
        allowed = min(wait, limit)
        relation = "at or above" if estimate >= allowed else "below"
        return f"the estimate of {estimate:g}s is {relation} the {allowed:g}s that the client may wait"
    relation = "at or above" if estimate >= threshold else "below"
    return f"the estimate of {estimate:g}s is {relation} the threshold of {threshold:g}s"
