"""The attempts that occupy a worker: running ones, and ended ones with parts that are still running."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from streamer.contracts.stores import Key
from streamer.engine.attempt import RunningAttempt
from streamer.engine.routes import Route


class Slots:
    """Counts the free slots. A function that outlives its request keeps its slot until it has ended.

    Args:
        concurrency: maximum concurrent attempts.
        limits: the same for each action with its own limit.
        tenant_concurrency: the same for each tenant; None: no limit.
    """

    def __init__(self, concurrency: int, limits: Mapping[str, int], tenant_concurrency: int | None) -> None:
        self.running: dict[Key, RunningAttempt] = {}
        self.left_over: dict[Key, RunningAttempt] = {}
        """Ended attempts with parts that are still running."""
        self._concurrency = concurrency
        self._limits = limits
        self._tenant_concurrency = tenant_concurrency
        self.limited = bool(limits) or tenant_concurrency is not None
        """Whether the end of an attempt may allow a claim although slots were free before."""

    def free(self) -> int:
        """How many more may run."""
        left = sum(key not in self.running for key in self.left_over) if self.left_over else 0
        return max(0, self._concurrency - len(self.running) - left)

    def free_slots(self) -> dict[str, int] | None:
        """How many more of each limited action may run; None when no action is limited."""
        if not self._limits:
            return None
        free_slots = dict(self._limits)
        for attempt in self._occupying():
            if attempt.record.action in free_slots:
                free_slots[attempt.record.action] = max(0, free_slots[attempt.record.action] - 1)
        return free_slots

    def tenant_limits(self) -> dict[str, Any]:
        """The arguments of `RequestQueue.claim` for tenants."""
        if self._tenant_concurrency is None:
            return {}
        running = Counter(tenant for attempt in self._occupying() if (tenant := attempt.record.tenant))
        return {"tenant_limit": self._tenant_concurrency, "tenants": running}

    def before(self, key: Key) -> RunningAttempt | None:
        """The attempt of this request that must end completely before another may start."""
        return self.running.get(key) or self.left_over.get(key)

    def leave(self, attempt: RunningAttempt) -> asyncio.Future[None] | None:
        """Removes an ended attempt. Returns what to wait for if a part of it is still running, else None."""
        key = attempt.record.key
        if self.running.get(key) is attempt:
            del self.running[key]
        if not attempt.left_over:
            return None
        self.left_over[key] = attempt
        waiting = asyncio.ensure_future(attempt.really_ended())
        waiting.add_done_callback(lambda _: self.left_over.pop(key, None))
        return waiting

    def _occupying(self) -> Iterator[RunningAttempt]:
        yield from self.running.values()
        for key, attempt in self.left_over.items():
            if key not in self.running:
                yield attempt


def limits_of(routes: Mapping[str, Route], actions: Collection[str]) -> dict[str, int]:
    """The concurrency limit of each action that has one.

    Args:
        routes: by action.
        actions: that may run; all when empty.
    """
    limits = {route.name: route.concurrency for route in routes.values() if route.concurrency is not None}
    if actions:
        limits |= {name: 0 for name in routes if name not in actions}
    return limits
