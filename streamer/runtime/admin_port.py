"""Opens the admin port of a process if the file enables it. Otherwise nothing of it is imported."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
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
    """Observes the service for its admin port; None if the port is disabled.

    Raises:
        StartError: as `admin_token`.
    """
    if not settings.enabled:
        return None
    admin_token(settings)
    from streamer.admin.observer import ServiceObserver  # noqa: PLC0415 - only where it is on

    return ServiceObserver(clock)


def admin_token(settings: AdminSettings) -> str | None:
    """The token of the admin port; None without one, and if the port is disabled.

    Raises:
        StartError: a library is not installed, or the token's file is unusable.
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
    """The receiver of a transport's messages, and the class of its connections; observed if there is an observer."""
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
    """Serves the admin port within the context; yields the port, None if it is disabled.

    Args:
        observer: with which the service was opened; None: the port is disabled.
        service: the opened service.
        components: by kind and full name.
        draining: whether the process is shutting down.
        clock: the service's.
        logger: of the process.

    Raises:
        StartError: it cannot be listened on, or as `admin_token`.
    """
    if observer is None:
        yield None
        return
    from streamer.admin.assembly import Parts, build  # noqa: PLC0415 - only where it is on

    settings = service.settings
    admin = settings.admin
    parts = Parts(
        settings=settings,
        token=admin_token(admin),
        store=service.store,
        store_is_shared=components[Kind.STORE, settings.backends.store.name].several_processes,
        worker=service.worker,
        routes=service.router.routes,
        health=service.health,
        draining=draining,
        clock=clock,
        logger=logger,
    )
    port = build(observer, parts)
    try:
        number = await port.server.start()
    except OSError as problem:
        raise cannot_listen(admin.host, admin.port, problem, "admin") from None
    beating = asyncio.create_task(port.heartbeat.run(), name="admin heartbeat")
    host = f"[{admin.host}]" if ":" in admin.host else admin.host
    logger.info("admin port", url=f"http://{host}:{number}")
    port.stored.wanted()
    try:
        yield number
    finally:
        await port.server.close()
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await port.stored.close()
