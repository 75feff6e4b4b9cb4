"""A service of two gateways and two workers, each with all the objects of a process, in this one."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from in_process.components import HUBS
from in_process.hub import Hub
from streamer.core.clock import SystemClock
from streamer.core.owners import OWNER_KEY, OwnerNames, new_key
from streamer.runtime.assembly import Service, open_service
from streamer.runtime.configuration import read
from streamer.runtime.lifecycle import Process
from streamer.runtime.serve import ServerProcess
from streamer.runtime.work import WorkerProcess
from streamer.testing import RecordingLogger
from streamer.transports.websocket import WebSocketTransport


class Cluster:
    """What runs.

    Attributes:
        urls: of the gateways.
        gateways: their services.
        workers: the services of the workers.
        logger: of all of them.
    """

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.gateways: list[Service] = []
        self.workers: list[Service] = []
        self.logger = RecordingLogger()


@asynccontextmanager
async def open_cluster(
    config: Path, environ: Mapping[str, str], hub: str, *, gateways: int = 2, workers: int = 2
) -> AsyncIterator[Cluster]:
    """Serves the file, whose backends are those of `in_process.components` under this name of a hub.

    The gateways run nothing that is queued: all of it reaches their clients from a worker.
    """
    settings, registry = read(config, environ)
    HUBS[hub] = Hub()
    clock = SystemClock()
    cluster = Cluster()
    async with AsyncExitStack() as stack:

        async def opened(name: str) -> Service:
            return await stack.enter_async_context(
                open_service(settings, registry.components, logger=cluster.logger, clock=clock, name=name)
            )

        for number in range(workers):
            service = await opened(f"worker-{number}")
            cluster.workers.append(service)
            await stack.enter_async_context(_running(WorkerProcess(service, (), cluster.logger)))
        for number in range(gateways):
            service = await opened(f"gateway-{number}")
            cluster.gateways.append(service)
            transport = WebSocketTransport(
                dataclasses.replace(settings.server, port=0),
                receiver=service.router,
                registry=service.connections,
                clock=clock,
                logger=cluster.logger,
                authenticator=service.authenticator,
                deadlines=service.deadlines,
                health=service.health,
                owners=OwnerNames(await service.store.keep(OWNER_KEY, new_key())),
            )
            await transport.start()
            process = ServerProcess(service, transport, settings.server, 1024, clock, cluster.logger)
            await stack.enter_async_context(_running(process, without="worker"))
            cluster.urls.append(f"ws://{settings.server.host}:{transport.port}{settings.server.path}")
        yield cluster
    del HUBS[hub]


@asynccontextmanager
async def _running(process: Process, without: str = "") -> AsyncIterator[None]:
    """Runs its tasks as its lifecycle does. What it was given by a signal it is given by the end of the context."""
    coroutines = dict(process.tasks())
    if without:
        coroutines.pop(without).close()
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in coroutines.items()]
    try:
        yield
    finally:
        ended = [task for task in tasks if task.done()]
        process.begin_drain()
        await process.drain(0.0, 0.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await process.close()
        for task in ended:
            # Raises what ended it too early.
            task.result()
