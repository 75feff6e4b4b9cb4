"""Puts the admin port together. It imports aiohttp and prometheus-client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streamer import __version__
from streamer.admin.api import Api
from streamer.admin.exposition import Exposition, Gauges
from streamer.admin.guard import Guard
from streamer.admin.heartbeat import Heartbeat
from streamer.admin.observer import ServiceObserver
from streamer.admin.overview import Overview
from streamer.admin.probes import Probes, ServiceLoop
from streamer.admin.readiness import Readiness, store_check, worker_check
from streamer.admin.requests import StoredRequests
from streamer.admin.server import AdminServer
from streamer.admin.stored_counts import OWN, SHARED, StoredCounts
from streamer.config.dump import effective
from streamer.config.settings import Settings
from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock
from streamer.core.health import Health
from streamer.core.ping_status import PingStatus
from streamer.engine.routes import Route
from streamer.engine.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What of a service its admin port uses."""

    settings: Settings
    token: str | None
    store: RequestQueue
    store_is_shared: bool
    """Other processes use the store, too."""
    worker: Worker
    routes: Mapping[str, Route]
    health: Health
    draining: Callable[[], bool]
    clock: Clock
    logger: Any


class AdminPort(NamedTuple):
    """What must be started and stopped."""

    server: AdminServer
    heartbeat: Heartbeat
    stored: StoredCounts


def build(observer: ServiceObserver, parts: Parts) -> AdminPort:
    """The admin port, which does not listen yet. Called on the service's event loop.

    Args:
        observer: with which the service was opened.
        parts: of the service.
    """
    settings, worker, clock = parts.settings, parts.worker, parts.clock
    admin, slots = settings.admin, settings.worker.concurrency
    guard = Guard(parts.token, (admin.host, *admin.allowed_hosts))
    heartbeat = Heartbeat(clock, observer.counts.loop_lag)
    stored = StoredCounts(parts.store, SHARED if parts.store_is_shared else OWN, clock)
    overview = Overview(
        parts.routes,
        worker,
        observer.connections,
        observer.counts,
        slots=slots,
        last_claim=lambda: observer.last_claim,
        draining=parts.draining,
        clock=clock,
        logger=parts.logger,
    )
    gauges = Gauges(
        connections=lambda: len(observer.connections.peers),
        running=overview.running,
        slots=slots,
        stored=lambda: stored.newest,
        estimates={route.name: route.estimate for route in parts.routes.values()},
        draining=parts.draining,
        problems=lambda: len(parts.health.problems),
        build={
            "version": __version__,
            "store": settings.backends.store.name,
            "connections": settings.backends.connections.name,
        },
    )
    checks = {
        "store": store_check(parts.store, parts.health, clock),
        "worker": worker_check(lambda: observer.last_claim, settings.worker.poll_interval, clock),
    }
    readiness = Readiness(checks, parts.draining, clock)
    loop = ServiceLoop(asyncio.get_running_loop())
    ping = PingStatus(lambda: bool(worker.running), clock)
    probes = Probes(loop, heartbeat, readiness, guard, Exposition(observer.counts, gauges), stored, ping)
    requests = StoredRequests(parts.store, worker.cancel, worker.wake, parts.logger)
    api = Api(
        loop,
        requests,
        overview,
        readiness,
        heartbeat,
        parts.health,
        config=lambda: effective(settings),
        version=__version__,
        started_at=clock.now(),
    )
    routes = {**probes.routes(), **api.routes()}
    server = AdminServer(routes, guard, host=admin.host, port=admin.port, logger=parts.logger)
    return AdminPort(server, heartbeat, stored)
