"""Opens the admin port of a process where the file turns it on. Nothing of it is imported otherwise."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from streamer.config.settings import AdminSettings
from streamer.contracts.components import Kind
from streamer.core.clock import Clock
from streamer.core.errors import StartError
from streamer.runtime.assembly import Components, Service
from streamer.transports.listen_errors import cannot_listen

if TYPE_CHECKING:
    from streamer.admin.observer import ServiceObserver

SHORTEST_TOKEN: Final = 32
"""Characters."""
_LIBRARIES: Final = ("aiohttp", "prometheus_client")
_HOW_TO_INSTALL: Final = 'the admin port needs the extra "admin": pip install "streamer-router[admin]"'


def observer_for(settings: AdminSettings, clock: Clock) -> ServiceObserver | None:
    """What observes the service for its admin port; None where that is off.

    Raises:
        StartError: as `admin_token`.
    """
    if not settings.enabled:
        return None
    admin_token(settings)
    from streamer.admin.observer import ServiceObserver  # noqa: PLC0415 - only where it is on

    return ServiceObserver(clock)


def admin_token(settings: AdminSettings) -> str | None:
    """The token of the admin port; None without one, and where the port is off.

    Raises:
        StartError: a library is not installed, or the file of the token is of no use.
    """
    if not settings.enabled:
        return None
    if any(find_spec(library) is None for library in _LIBRARIES):
        raise StartError(_HOW_TO_INSTALL)
    if settings.token_file is None:
        return settings.token
    try:
        token = settings.token_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not text"
        raise StartError(f"admin.token_file: {settings.token_file} cannot be read: {reason}") from None
    if len(token) < SHORTEST_TOKEN:
        raise StartError(
            f"admin.token_file: the token in {settings.token_file} has {len(token)} characters; it needs "
            f"{SHORTEST_TOKEN} or more, as from: openssl rand -hex 32"
        )
    return token


def transport_parts(observer: ServiceObserver | None, service: Service) -> dict[str, Any]:
    """What a transport delivers to, and what its connections are made of; observed where there is an observer."""
    if observer is None:
        return {"receiver": service.router, "registry": service.connections}
    connections = observer.connections
    return {
        "receiver": connections.receiver(service.router),
        "registry": connections.registry(service.connections),
        "peer_types": connections.peer_types(),
    }


@contextlib.asynccontextmanager
async def admin_port(
    observer: ServiceObserver | None,
    service: Service,
    components: Components,
    *,
    draining: Callable[[], bool],
    clock: Clock,
    logger: Any,
) -> AsyncIterator[int | None]:
    """Serves the admin port as long as the context lasts; yields the port, None where it is off.

    Args:
        observer: with which the service was opened; None: the port is off.
        service: what was opened.
        components: by kind and full name.
        draining: whether the process shuts down.
        clock: the service's.
        logger: of the process.

    Raises:
        StartError: it cannot be listened on, or as `admin_token`.
    """
    if observer is None:
        yield None
        return
    from streamer import __version__  # noqa: PLC0415 - as below
    from streamer.admin.exposition import Exposition, Gauges  # noqa: PLC0415 - only where it is on
    from streamer.admin.guard import Guard  # noqa: PLC0415 - as above
    from streamer.admin.heartbeat import Heartbeat  # noqa: PLC0415 - as above
    from streamer.admin.probes import Probes, ServiceLoop  # noqa: PLC0415 - as above
    from streamer.admin.readiness import Readiness, store_check, worker_check  # noqa: PLC0415 - as above
    from streamer.admin.server import AdminServer  # noqa: PLC0415 - as above
    from streamer.admin.stored_counts import OWN, SHARED, StoredCounts  # noqa: PLC0415 - as above

    settings = service.settings
    admin = settings.admin
    guard = Guard(admin_token(admin), (admin.host, *admin.allowed_hosts))
    heartbeat = Heartbeat(clock, observer.counts.loop_lag)
    shared = components[Kind.STORE, settings.backends.store.name].several_processes
    stored = StoredCounts(service.store, SHARED if shared else OWN, clock)
    checks = {
        "store": store_check(service.store, service.health, clock),
        "worker": worker_check(lambda: observer.last_claim, settings.worker.poll_interval, clock),
    }
    gauges = Gauges(
        connections=lambda: len(observer.connections.peers),
        running=lambda: running_by_action(service),
        slots=settings.worker.concurrency,
        stored=lambda: stored.newest,
        estimates={route.name: route.estimate for route in service.router.routes.values()},
        draining=draining,
        problems=lambda: len(service.health.problems),
        build={
            "version": __version__,
            "store": settings.backends.store.name,
            "connections": settings.backends.connections.name,
        },
    )
    probes = Probes(
        ServiceLoop(asyncio.get_running_loop()),
        heartbeat,
        Readiness(checks, draining, clock),
        guard,
        Exposition(observer.counts, gauges),
        stored,
    )
    server = AdminServer(probes.routes(), guard, host=admin.host, port=admin.port, logger=logger)
    try:
        port = await server.start()
    except OSError as problem:
        raise cannot_listen(admin.host, admin.port, problem, "admin") from None
    beating = asyncio.create_task(heartbeat.run(), name="admin heartbeat")
    host = f"[{admin.host}]" if ":" in admin.host else admin.host
    logger.info("admin port", url=f"http://{host}:{port}")
    stored.wanted()
    try:
        yield port
    finally:
        await server.close()
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await stored.close()


def running_by_action(service: Service) -> Mapping[str, int]:
    """How many attempts run, for every declared action. Safe in any thread."""
    running = Counter(attempt.record.action for attempt in list(service.worker.running.values()))
    return {action: running[action] for action in list(service.router.routes)}
