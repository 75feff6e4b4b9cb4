"""Runs queued requests whose connections somebody else holds, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any

from streamer.config.settings import Settings
from streamer.contracts.components import Kind
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import StartError
from streamer.runtime.assembly import Components, open_service
from streamer.runtime.ending import HeldLoop
from streamer.runtime.loops import new_loop, run_until_complete
from streamer.runtime.serve import end, fail_with
from streamer.runtime.signals import on_stop
from streamer.subprocesses.descriptors import raise_limit


def work(
    settings: Settings,
    components: Components,
    *,
    logger: Any,
    clock: Clock | None = None,
    actions: Collection[str] = (),
) -> None:
    """Claims and runs until SIGTERM, SIGINT, SIGHUP or SIGQUIT, then drains; a second one ends it at once.

    Args:
        settings: the file.
        components: by kind and full name, as the registry has them.
        logger: for what concerns the whole service.
        clock: time; the machine's when left out.
        actions: only requests of these; of all when empty.

    Raises:
        StreamerError: it could not start, in one line; or its store failed for good.
    """
    raise_limit()
    loop = new_loop()
    try:
        run_until_complete(loop, _work(settings, components, logger, clock or SystemClock(), actions), logger)
    finally:
        end(loop)


async def _work(
    settings: Settings, components: Components, logger: Any, clock: Clock, actions: Collection[str]
) -> None:
    _require_several_processes(settings, components)
    stop, force_stop = asyncio.Event(), asyncio.Event()
    on_stop(stop, force_stop, HeldLoop(asyncio.get_running_loop(), settings.server.drain_timeout, logger).told_to_stop)
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            open_service(settings, components, logger=logger, clock=clock, actions=actions)
        )
        failing: asyncio.Task[Any] = asyncio.create_task(fail_with(service.store), name="store")
        running: asyncio.Task[Any] = asyncio.create_task(service.worker.run(), name="worker")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        logger.info("ready", actions=sorted(actions) or len(service.router.routes), worker=service.worker.name)
        try:
            await asyncio.wait([failing, running, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in (failing, running):
                if task.done():
                    task.result()
        finally:
            logger.info("draining", running=len(service.worker.running))
            service.worker.pause()
            # What no store can take down is not worth waiting for.
            patience = 0.0 if failing.done() else settings.server.drain_timeout
            draining = asyncio.create_task(service.worker.drain(patience))
            hurried = asyncio.create_task(force_stop.wait())
            await asyncio.wait([draining, hurried], return_when=asyncio.FIRST_COMPLETED)
            if not draining.done():
                logger.warning("told again to stop: not waiting any longer")
                draining.cancel()
                await asyncio.gather(draining, return_exceptions=True)
                draining = asyncio.create_task(service.worker.drain(0.0))
            returned = await draining
            for task in (failing, running, stopping, hurried):
                task.cancel()
            await asyncio.gather(failing, running, stopping, hurried, return_exceptions=True)
            await service.delivery.settle()
            logger.info("stopped", returned_to_queue=returned)


def _require_several_processes(settings: Settings, components: Components) -> None:
    """Refuses backends that belong to one process.

    Raises:
        StartError: one of them does not declare `several_processes`.
    """
    connections, store = settings.backends.connections.name, settings.backends.store.name
    if not components[Kind.CONNECTIONS, connections].several_processes:
        raise StartError(
            f"the connections are {connections!r}, which only 'streamer run' itself can reach; a worker of its own "
            "needs connections that several processes can send to"
        )
    if not components[Kind.STORE, store].several_processes:
        raise StartError(
            f"the store is {store!r}, which one process has for itself; a worker of its own needs a store that several "
            "processes can open"
        )
