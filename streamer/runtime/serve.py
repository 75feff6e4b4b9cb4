"""Serves connections and runs their requests, until a signal stops it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import Coroutine, Mapping
from typing import Any

from streamer.config.settings import ServerSettings, Settings
from streamer.contracts.components import Kind
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import StartError
from streamer.core.owners import OWNER_KEY, OwnerNames, new_key
from streamer.core.ping_status import PingStatus
from streamer.engine.retention import Retention
from streamer.runtime.admin_port import admin_port, observer_for, transport_parts
from streamer.runtime.assembly import Components, Service, open_service
from streamer.runtime.connection_budget import fit, warn
from streamer.runtime.lifecycle import Lifecycle, run_process
from streamer.runtime.start_retry import StartRetry
from streamer.subprocesses.descriptors import raise_limit
from streamer.transports.websocket import WebSocketTransport


def serve(
    settings: Settings, components: Components, *, logger: Any, clock: Clock | None = None, wait: float = 0.0
) -> None:
    """Serves until SIGTERM, SIGINT, SIGHUP or SIGQUIT, then drains; a second signal stops it at once.

    Args:
        settings: the file.
        components: by kind and full name, from the registry.
        logger: of the process.
        clock: time; by default the machine's.
        wait: seconds to wait for the store and the port of a service that is still draining.

    Raises:
        StreamerError: it could not start, with the reason on one line; or its store failed permanently.
    """
    limit = raise_limit()
    run_process(_serve(settings, components, logger, clock or SystemClock(), wait, limit), logger)


async def _serve(
    settings: Settings,
    components: Components,
    logger: Any,
    clock: Clock,
    wait: float = 0.0,
    limit: int = sys.maxsize,
) -> None:
    _require_sockets(settings, components)
    fitted = dataclasses.replace(settings, server=fit(settings, limit))
    lifecycle = Lifecycle(settings.server.drain_timeout, logger)
    observer = observer_for(settings.admin, clock)
    start = StartRetry(wait, clock, logger, lifecycle.stop)
    async with contextlib.AsyncExitStack() as stack:
        service = await start.until_free(
            lambda: stack.enter_async_context(
                open_service(fitted, components, logger=logger, clock=clock, observer=observer)
            )
        )
        draining = lifecycle.stop.is_set
        await start.until_free(
            lambda: stack.enter_async_context(
                admin_port(observer, service, components, draining=draining, clock=clock, logger=logger)
            )
        )
        transport = WebSocketTransport(
            fitted.server,
            **transport_parts(observer, service),
            clock=clock,
            logger=logger,
            authenticator=service.authenticator,
            deadlines=service.deadlines,
            health=service.health,
            ping=PingStatus(lambda: bool(service.worker.running), clock),
            owners=OwnerNames(await service.store.keep(OWNER_KEY, new_key())),
        )
        await start.until_free(transport.start)
        process = ServerProcess(service, transport, settings.server, limit, clock, logger)
        await lifecycle.run(process, service.store)


class ServerProcess:
    """A process that holds connections: it answers direct requests, and runs queued ones.

    Args:
        service: the opened service.
        transport: already listening.
        configured: the `server` section before it was limited by open files.
        limit: of open files.
        clock: time.
        logger: of the process.
    """

    def __init__(
        self,
        service: Service,
        transport: WebSocketTransport,
        configured: ServerSettings,
        limit: int,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._service = service
        self._transport = transport
        self._configured = configured
        self._limit = limit
        self._clock = clock
        self._logger = logger

    def tasks(self) -> Mapping[str, Coroutine[Any, Any, Any]]:
        service = self._service
        retention = Retention(service.store, service.settings.worker.result_ttl, self._clock, self._logger)
        tasks: dict[str, Coroutine[Any, Any, Any]] = {
            "worker": service.worker.run(),
            "retention": retention.run(),
            "deliveries": service.tracker.run(),
            "transport": self._transport.failed(),
        }
        if service.orphan_watch is not None:
            tasks["orphans"] = service.orphan_watch.run()
        if service.wake_ups is not None:
            tasks["wake-ups"] = service.wake_ups.run()
        return tasks

    def ready(self) -> None:
        server = self._service.settings.server
        self._logger.info("ready", url=_url(server, self._transport.port), actions=len(self._service.router.routes))
        # Not before: the program that starts the service may wait for its first line.
        warn(self._configured, server, self._limit, self._logger)

    def under_way(self) -> dict[str, int]:
        return {"running": len(self._service.worker.running), "connections": self._transport.open_connections}

    def begin_drain(self) -> None:
        self._transport.begin_drain()
        self._service.router.begin_drain()
        self._service.worker.pause()

    async def drain(self, queued: float, direct: float) -> int:
        returned, _ = await asyncio.gather(self._service.worker.drain(queued), self._service.router.drain(direct))
        return returned

    async def close(self) -> None:
        await self._transport.close()
        # Until their connections had ended, clients could confirm messages.
        await self._service.tracker.write()


def _require_sockets(settings: Settings, components: Components) -> None:
    """Refuses connections that another system holds.

    Raises:
        StartError: they do not declare `holds_sockets`.
    """
    connections = settings.backends.connections.name
    if not components[Kind.CONNECTIONS, connections].holds_sockets:
        raise StartError(
            f"the connections {connections!r} are not held by this process, so it has nothing to serve; "
            "'streamer worker' runs the queued requests, 'streamer emulate' runs the whole service on this machine, "
            "and 'streamer export' writes the files that deploy it"
        )


def _url(server: ServerSettings, port: int) -> str:
    scheme = "ws" if server.tls is None else "wss"
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{scheme}://{host}:{port}{server.path}"
