"""What is counted while requests are served: plain integers, which a scrape turns into samples."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from streamer.core.errors import CODES

SHORT: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds, in seconds, of times that should be short: a call of the store, the delay of the event loop."""
LONG: Final = (*SHORT, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Upper bounds, in seconds, of times of requests, which may take minutes."""
UNKNOWN: Final = "_unknown"
"""The label of an action that is not declared: a client can send any name, and must not add a series."""
OTHER: Final = "_other"
"""The label of an error code that is not one of the service's own."""


SERVICE_ACTIONS: Final = "streamer."
"""The prefix of the service's own actions."""
ATTEMPTS: Final = ("completed", "failed", "retried", "released", "lost", "cancelled")
"""How attempts end: `released` ones go back to the queue in a drain, `lost` ones were taken over by another worker."""


class Histogram:
    """Counts values by fixed upper bounds.

    Args:
        bounds: upper bounds, rising; a value equal to a bound belongs below it.

    Attributes:
        counts: how many values are in each bucket, not cumulated; the last one is above every bound.
        sum: of all values.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Counts one value. One below zero, which a clock that was set back yields, counts as zero."""
        value = max(value, 0.0)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class ActionCounts:
    """What is counted for one action."""

    __slots__ = (
        "attempt_time",
        "attempts",
        "direct_completed",
        "direct_failed",
        "direct_time",
        "queued",
        "queued_time",
        "stored",
        "wait_time",
    )

    def __init__(self) -> None:
        self.direct_completed = 0
        """Requests that were answered directly, with a result."""
        self.direct_failed = 0
        """The same with an error."""
        self.direct_time = Histogram(LONG)
        """Seconds from the message of a direct request to its answer."""
        self.stored = 0
        """Requests that were stored and acknowledged."""
        self.queued: dict[str, int] = {"completed": 0, "failed": 0, "cancelled": 0, "expired": 0, "abandoned": 0}
        """Queued requests that ended, by outcome."""
        self.queued_time = Histogram(LONG)
        """Seconds from the acceptance of a queued request to its result."""
        self.wait_time = Histogram(LONG)
        """Seconds from the acceptance to the claim of the first attempt."""
        self.attempts: dict[str, int] = dict.fromkeys(ATTEMPTS, 0)
        """Attempts that ended, by outcome."""
        self.attempt_time = Histogram(LONG)
        """Seconds from a claim to the written outcome."""

    @property
    def direct(self) -> dict[str, int]:
        """Requests that were answered directly, by outcome."""
        return {"completed": self.direct_completed, "failed": self.direct_failed}

    @property
    def used(self) -> bool:
        """Whether anything was counted."""
        return self.stored > 0 or any(any(each.values()) for each in (self.direct, self.queued, self.attempts))


class Counts:
    """Everything that one process counts. Written on the service's event loop, read from any thread.

    Attributes:
        by_action: the counts of each declared action, and of `UNKNOWN`.
        refused: messages that were answered with an error before they ran or were stored, by action and code.
        errors: errors of requests that ran, by action and code.
        store_calls: seconds of each call of the store, by operation.
        store_errors: calls of the store that failed, by operation.
        loop_lag: seconds by which the event loop was late.
        opened: connections since the start.
        closed: connections that ended, by close code.
        messages_in, messages_out: messages of clients, and to clients.
        bytes_in: of the messages of clients, without the frames around them.
        bytes_out: of what was written to connections: messages in their frames, and pings.
    """

    def __init__(self) -> None:
        self.by_action: dict[str, ActionCounts] = {UNKNOWN: ActionCounts()}
        self.refused: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.store_calls: dict[str, Histogram] = {}
        self.store_errors: Counter[str] = Counter()
        self.loop_lag = Histogram(SHORT)
        self.opened = 0
        self.closed: Counter[str] = Counter()
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def declare(self, actions: Iterable[str]) -> None:
        """These actions have counts of their own; all others share one."""
        for name in actions:
            self.by_action.setdefault(name, ActionCounts())

    def declared(self) -> Iterator[tuple[str, ActionCounts]]:
        """The actions of the file, and those others for which something was counted."""
        for name, counted in list(self.by_action.items()):
            if counted.used or not (name == UNKNOWN or name.startswith(SERVICE_ACTIONS)):
                yield name, counted

    def queueable(self) -> Iterator[tuple[str, ActionCounts]]:
        """The same without the service's own actions, which are never queued."""
        return ((name, counted) for name, counted in self.declared() if not name.startswith(SERVICE_ACTIONS))

    def of(self, action: str) -> ActionCounts:
        """The counts of an action."""
        return self.by_action.get(action) or self.by_action[UNKNOWN]

    def label(self, action: str) -> str:
        """The action's name, or `UNKNOWN` for an action that is not declared."""
        return action if action in self.by_action else UNKNOWN

    def failed(self, action: str, code: str) -> None:
        """Counts an error of a request that ran."""
        self.errors[self.label(action), code if code in CODES else OTHER] += 1
