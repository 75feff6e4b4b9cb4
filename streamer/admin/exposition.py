"""Makes samples for Prometheus of what was counted. Nothing else here knows prometheus-client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder

from streamer.admin.counters import Counts, Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What is not counted but looked at when Prometheus asks."""

    connections: Callable[[], int]
    """How many are open."""
    running: Callable[[], Mapping[str, int]]
    """Attempts that run here, by action."""
    slots: int
    """How many may run here at one time."""
    stored: Callable[[], Mapping[str, int] | None]
    """Requests in the store by state; None when it was not read yet."""
    estimates: Mapping[str, float]
    """The declared duration of each action, in seconds."""
    draining: Callable[[], bool]
    """Whether the service is shutting down."""
    problems: Callable[[], int]
    """How many parts have reported that they do not work."""
    build: Mapping[str, str]
    """Version and components."""


class Exposition:
    """The text of `/metrics`. Safe in any thread.

    Args:
        counts: what was counted.
        gauges: what is looked at.
    """

    def __init__(self, counts: Counts, gauges: Gauges) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(ServiceCollector(counts, gauges))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._registry = registry

    def text(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, for the header `Accept` of a request."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class ServiceCollector:
    """Turns the counts into metric families at each scrape.

    Args:
        counts: what was counted.
        gauges: what is looked at.
    """

    def __init__(self, counts: Counts, gauges: Gauges) -> None:
        self._counts = counts
        self._gauges = gauges

    def describe(self) -> list[Any]:
        """Part of the library's protocol: nothing need be collected to register."""
        return []

    def collect(self) -> Iterator[Any]:
        """Every family with its samples."""
        yield from self._requests()
        yield from self._attempts()
        yield from self._connections()
        yield from self._store()
        yield from self._process()

    def _requests(self) -> Iterator[Any]:
        ended = CounterMetricFamily(
            "streamer_requests",
            "Requests that ended. Direct ones are completed or failed; queued ones also cancelled, expired (waited "
            "longer than expires_after) or abandoned (their worker died in their last attempt).",
            labels=("action", "mode", "outcome"),
        )
        took = HistogramMetricFamily(
            "streamer_request_duration_seconds",
            "Time from the acceptance of a request to its answer (direct) or its result (queued).",
            labels=("action", "mode"),
        )
        accepted = CounterMetricFamily(
            "streamer_requests_queued", "Requests that were stored and acknowledged.", labels=("action",)
        )
        waited = HistogramMetricFamily(
            "streamer_queue_wait_seconds",
            "Time from the acceptance of a queued request to the start of its first attempt.",
            labels=("action",),
        )
        for action, counted in self._counts.declared():
            for outcome, count in counted.direct.items():
                ended.add_metric((action, "direct", outcome), count)
            _add(took, (action, "direct"), counted.direct_time)
        for action, counted in self._counts.queueable():
            for outcome, count in counted.queued.items():
                ended.add_metric((action, "queued", outcome), count)
            _add(took, (action, "queued"), counted.queued_time)
            accepted.add_metric((action,), counted.stored)
            _add(waited, (action,), counted.wait_time)
        yield from (ended, took, accepted, waited)
        refused = CounterMetricFamily(
            "streamer_requests_refused",
            "Messages that were answered with an error before they ran or were stored, by the error's code.",
            labels=("action", "code"),
        )
        for names, count in list(self._counts.refused.items()):
            refused.add_metric(names, count)
        errors = CounterMetricFamily(
            "streamer_request_errors",
            "Errors of requests that ran, by the error's code; each attempt of a queued request counts.",
            labels=("action", "code"),
        )
        for names, count in list(self._counts.errors.items()):
            errors.add_metric(names, count)
        yield from (refused, errors)

    def _attempts(self) -> Iterator[Any]:
        attempts = CounterMetricFamily(
            "streamer_attempts",
            "Attempts of queued requests that ended here. Released ones went back to the queue in a drain; lost ones "
            "were taken over by another worker.",
            labels=("action", "outcome"),
        )
        took = HistogramMetricFamily(
            "streamer_attempt_duration_seconds", "Time from a claim to the written outcome.", labels=("action",)
        )
        for action, counted in self._counts.queueable():
            for outcome, count in counted.attempts.items():
                attempts.add_metric((action, outcome), count)
            _add(took, (action,), counted.attempt_time)
        running = GaugeMetricFamily("streamer_running", "Attempts that run in this process.", labels=("action",))
        for action, count in self._gauges.running().items():
            running.add_metric((action,), count)
        estimates = GaugeMetricFamily(
            "streamer_action_estimate_seconds", "The declared duration of an action.", labels=("action",)
        )
        for action, seconds in self._gauges.estimates.items():
            estimates.add_metric((action,), seconds)
        slots = GaugeMetricFamily("streamer_worker_slots", "How many attempts this process may run at one time.")
        slots.add_metric((), self._gauges.slots)
        yield from (attempts, took, running, estimates, slots)

    def _connections(self) -> Iterator[Any]:
        counts = self._counts
        is_open = GaugeMetricFamily("streamer_connections", "Open connections.")
        is_open.add_metric((), self._gauges.connections())
        closed = CounterMetricFamily(
            "streamer_connections_closed",
            "Connections that ended, by the close code of the side that closed first; 1006 without a close frame.",
            labels=("code",),
        )
        for code, count in list(counts.closed.items()):
            closed.add_metric((code,), count)
        yield from (is_open, closed)
        yield _counter("streamer_connections_opened", "Connections that were opened.", counts.opened)
        yield _counter("streamer_received_messages", "Messages of clients.", counts.messages_in)
        yield _counter(
            "streamer_received_bytes", "Bytes of the messages of clients, without their frames.", counts.bytes_in
        )
        yield _counter("streamer_sent_messages", "Messages to clients.", counts.messages_out)
        yield _counter(
            "streamer_sent_bytes", "Bytes of the messages to clients, with their frames and pings.", counts.bytes_out
        )

    def _store(self) -> Iterator[Any]:
        took = HistogramMetricFamily(
            "streamer_store_call_duration_seconds", "Time of each call of the store.", labels=("operation",)
        )
        for operation, histogram in list(self._counts.store_calls.items()):
            _add(took, (operation,), histogram)
        errors = CounterMetricFamily(
            "streamer_store_errors",
            "Calls of the store that raised, which includes refusals such as a full queue.",
            labels=("operation",),
        )
        for operation, count in list(self._counts.store_errors.items()):
            errors.add_metric((operation,), count)
        yield from (took, errors)
        states = self._gauges.stored()
        if states is not None:
            stored = GaugeMetricFamily(
                "streamer_stored_requests",
                "Requests in the store, of all processes together, by state. Counted every 15 s (5 min where several "
                "processes share the store), and less often where counting takes long.",
                labels=("status",),
            )
            for status, count in states.items():
                stored.add_metric((status,), count)
            yield stored

    def _process(self) -> Iterator[Any]:
        lag = HistogramMetricFamily("streamer_loop_lag_seconds", "How late the event loop was, sampled twice a second.")
        _add(lag, (), self._counts.loop_lag)
        yield lag
        problems = GaugeMetricFamily(
            "streamer_health_problems", "Parts that have reported that they do not work, such as the store."
        )
        problems.add_metric((), self._gauges.problems())
        yield problems
        draining = GaugeMetricFamily("streamer_draining", "1 while the service shuts down.")
        draining.add_metric((), float(self._gauges.draining()))
        yield draining
        build = InfoMetricFamily("streamer_build", "Version and components of the service.")
        build.add_metric((), dict(self._gauges.build))
        yield build


def _counter(name: str, documentation: str, value: float) -> Any:
    family = CounterMetricFamily(name, documentation)
    family.add_metric((), value)
    return family


def _add(family: Any, labels: tuple[str, ...], histogram: Histogram) -> None:
    # One copy, so that the buckets are of one moment while the event loop counts on.
    counts = tuple(histogram.counts)
    bounds = (*map(str, histogram.bounds), "+Inf")
    family.add_metric(labels, buckets=list(zip(bounds, accumulate(counts), strict=True)), sum_value=histogram.sum)
