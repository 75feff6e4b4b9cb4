"""What a service is made of and does now, for operators. Runs on the service's event loop; each answer is short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

from streamer.admin.connections import Connections, OpenPeer
from streamer.admin.counters import Counts, Histogram
from streamer.core.clock import Clock, timestamp
from streamer.engine.routes import Route
from streamer.engine.worker import Worker
from streamer.transports.close_codes import GOING_AWAY

_SHOWN_ATTEMPTS: Final = 200
"""Running attempts that are listed."""


class Overview:
    """Reads what is in memory.

    Args:
        routes: of the file, by action.
        worker: of this process.
        connections: open ones.
        counts: what was counted.
        slots: how many attempts may run here.
        last_claim: when the worker last got an answer from the queue, in monotonic seconds.
        draining: whether the process shuts down.
        clock: the service's.
        logger: gets a line for each change.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        worker: Worker,
        connections: Connections,
        counts: Counts,
        *,
        slots: int,
        last_claim: Callable[[], float | None],
        draining: Callable[[], bool],
        clock: Clock,
        logger: Any,
    ) -> None:
        self._routes = routes
        self._worker = worker
        self._connections = connections
        self._counts = counts
        self._slots = slots
        self._last_claim = last_claim
        self._draining = draining
        self._clock = clock
        self._logger = logger

    async def connections(self, limit: int, after: int) -> dict[str, Any]:
        """One page of this process's open connections, oldest first; `after` is the number of the last one seen."""
        later = (each for each in self._connections.peers.values() if each.number > after)
        found = list(islice(later, limit + 1))
        more = len(found) > limit
        return {
            "connections": [_connection(each) for each in found[:limit]],
            "cursor": str(found[limit - 1].number) if more else None,
            "total": len(self._connections.peers),
        }

    async def disconnect(self, connection_id: str, reason: str) -> bool:
        """Closes a connection with 1001; its client may connect again. Returns whether it was open."""
        found = self._connections.peers.get(connection_id)
        if found is None:
            return False
        found.peer.close(GOING_AWAY, reason)
        self._logger.info("an operator closed a connection", connection_id=connection_id, owner=found.peer.owner)
        return True

    async def actions(self) -> dict[str, Any]:
        """Every action of the file, with what was counted for it in this process."""
        running = self.running()
        return {"actions": [self._action(route, running.get(route.name, 0)) for route in self._routes.values()]}

    async def workers(self) -> dict[str, Any]:
        """The worker of this process, and what runs on it."""
        worker, now = self._worker, self._clock.monotonic()
        last = self._last_claim()
        attempts = list(islice(worker.running.values(), _SHOWN_ATTEMPTS))
        return {
            "workers": [
                {
                    "name": worker.name,
                    "slots": self._slots,
                    "free": worker.slots.free(),
                    "running": len(worker.running),
                    "outlived": len(worker.slots.left_over),
                    "draining": self._draining(),
                    "seconds_since_last_answer_of_the_queue": None if last is None else round(now - last, 3),
                    "attempts": [
                        {
                            "id": one.record.id,
                            "owner": one.record.owner,
                            "action": one.record.action,
                            "attempt": one.record.attempts,
                            "seconds": round(now - one.started, 3),
                        }
                        for one in attempts
                    ],
                }
            ]
        }

    def running(self) -> dict[str, int]:
        """How many attempts run here, for every action of the file. Safe in any thread."""
        running = dict.fromkeys(list(self._routes), 0)
        for attempt in list(self._worker.running.values()):
            if attempt.record.action in running:
                running[attempt.record.action] += 1
        return running

    def _action(self, route: Route, running: int) -> dict[str, Any]:
        counted = self._counts.of(route.name)
        return {
            "action": route.name,
            "description": route.description,
            "mode": route.mode.value,
            "queued": route.queued,
            "estimated_duration": route.estimate,
            "measured_duration": _mean(counted.attempt_time if route.queued else counted.direct_time),
            "async_threshold": route.threshold,
            "timeout": route.timeout,
            "concurrency": route.concurrency,
            "priority": route.priority,
            "max_attempts": route.retry.max_attempts,
            "permissions": sorted(route.permissions),
            "running": running,
            "direct": dict(counted.direct),
            "stored": counted.stored,
            "ended": dict(counted.queued),
            "attempts": dict(counted.attempts),
            "mean_queue_wait": _mean(counted.wait_time),
        }


def _connection(opened: OpenPeer) -> dict[str, Any]:
    peer = opened.peer
    principal = peer.principal
    return {
        "id": peer.id,
        "owner": peer.owner,
        "user_id": None if principal is None else principal.user_id,
        "tenant_id": None if principal is None else principal.tenant_id,
        "address": peer.address_block,
        "opened_at": timestamp(opened.opened_at),
        "running": peer.running,
    }


def _mean(histogram: Histogram) -> float | None:
    count = sum(histogram.counts)
    return round(histogram.sum / count, 6) if count else None
