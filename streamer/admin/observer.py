"""Observes a service by wrapping its parts: what is not observed is not wrapped, and costs nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final

from streamer.admin.connections import Connections
from streamer.admin.counters import LONG, OTHER, UNKNOWN, Counts
from streamer.admin.observed_queue import ObservedQueue
from streamer.contracts.connections import Peer
from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock
from streamer.core.errors import CODES, INTERNAL_ERROR, Error
from streamer.core.messages import Request, Result
from streamer.engine.background import BackgroundTasks
from streamer.engine.boundary import ErrorBoundary
from streamer.engine.direct_requests import DirectRequests
from streamer.engine.refusals import send_refusal


class ServiceObserver:
    """Counts what a service does. It fulfils `streamer.engine.observers.Observer`.

    Args:
        clock: the service's.

    Attributes:
        counts: what was counted.
        connections: the open ones; what observes a transport.
        last_claim: when the worker last got an answer from the queue, in monotonic seconds; None before the first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.counts = Counts()
        self.connections = Connections(self.counts, clock)
        self.last_claim: float | None = None

    def declare(self, actions: Iterable[str]) -> None:
        self.counts.declare(actions)

    def queue(self, store: RequestQueue) -> RequestQueue:
        return ObservedQueue(store, self.counts, self._clock, self._claimed)

    def direct_requests(
        self, tasks: BackgroundTasks, boundary: ErrorBoundary, logger: Any, *, max_result_size: int
    ) -> DirectRequests:
        return ObservedDirectRequests(
            self.counts, self._clock, tasks, boundary, logger, max_result_size=max_result_size
        )

    def refuse(self, peer: Peer, action: str, error: Error, request_id: str | None, /) -> None:
        send_refusal(peer, action, error, request_id)
        self.counts.refused[self.counts.label(action), error.code if error.code in CODES else OTHER] += 1

    def _claimed(self) -> None:
        self.last_claim = self._clock.monotonic()


_encode: Final = DirectRequests._encode  # noqa: SLF001 - of the base class; `super` costs as much as the counting


class ObservedDirectRequests(DirectRequests):
    """Counts direct requests by outcome, with the time from the message to the answer.

    Args:
        counts: where they are counted.
        clock: the service's, which has stamped each request.
        tasks: as for `DirectRequests`.
        boundary: as for `DirectRequests`.
        logger: as for `DirectRequests`.
        max_result_size: as for `DirectRequests`.
    """

    def __init__(
        self,
        counts: Counts,
        clock: Clock,
        tasks: BackgroundTasks,
        boundary: ErrorBoundary,
        logger: Any,
        *,
        max_result_size: int,
    ) -> None:
        super().__init__(tasks, boundary, logger, max_result_size=max_result_size)
        self._counts = counts
        self._by_action = counts.by_action
        self._now = clock.now

    def _encode(self, request: Request, value: Any) -> bytes:
        # In the path of every direct request: nothing is called here that need not be.
        counted = self._by_action.get(request.action) or self._by_action[UNKNOWN]
        failed = counted.direct_failed
        answer = _encode(self, request, value)
        # What cannot be encoded was counted as failed by now.
        if counted.direct_failed == failed:
            if isinstance(value, Result) and not value.success:
                counted.direct_failed += 1
            else:
                counted.direct_completed += 1
            seconds = self._now() - request.created_at
            times = counted.direct_time
            times.counts[bisect_left(LONG, seconds)] += 1
            if seconds > 0.0:
                times.sum += seconds
        return answer

    def _failed(self, problem: BaseException, request: Request) -> bytes:
        counted = self._counts.of(request.action)
        counted.direct_failed += 1
        counted.direct_time.add(self._now() - request.created_at)
        self._counts.failed(request.action, problem.code if isinstance(problem, Error) else INTERNAL_ERROR)
        return super()._failed(problem, request)
