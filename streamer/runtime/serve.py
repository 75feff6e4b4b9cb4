"""Runs a service until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from typing import Any

from streamer.config.settings import Settings
from streamer.contracts.components import Kind
from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import StartError, StoreError, StoreUnavailable
from streamer.core.owners import OWNER_KEY, OwnerNames, new_key
from streamer.engine.aging import AGES_KEY, Ages
from streamer.runtime.assembly import Components, Service, open_service
from streamer.runtime.collector import leave_alone_what_exists
from streamer.runtime.descriptors import fit, warn
from streamer.runtime.ending import HeldLoop
from streamer.runtime.loops import new_loop, run_until_complete
from streamer.runtime.signals import on_stop
from streamer.runtime.start_retry import StartRetry
from streamer.subprocesses.descriptors import raise_limit
from streamer.transports.websocket import WebSocketTransport

END_GRACE = 1.0
"""Seconds that tasks which the drain could not stop get for a last time."""

PURGE_INTERVAL = 60.0
"""Seconds between two looks for results older than `worker.result_ttl`."""


def serve(
    settings: Settings, components: Components, *, logger: Any, clock: Clock | None = None, wait: float = 0.0
) -> None:
    """Serves until SIGTERM, SIGINT, SIGHUP or SIGQUIT, then drains.

    Args:
        settings: the file.
        components: by kind and full name, as the registry has them.
        logger: for what concerns the whole service.
        clock: time; the machine's when left out.
        wait: seconds to wait for the store and the port of a service that is still draining.

    Raises:
        StreamerError: it could not start, in one line; or its store failed for good.
    """
    limit = raise_limit()
    # Not asyncio.Runner: it would wait for ever for a handler that swallows its cancellation.
    loop = new_loop()
    try:
        run_until_complete(loop, _serve(settings, components, logger, clock or SystemClock(), wait, limit), logger)
    finally:
        end(loop)


def end(loop: asyncio.AbstractEventLoop) -> None:
    """Cancels what is left and closes the loop, with or without what does not let itself be cancelled.

    Functions in the loop's threads are not waited for: they cannot be stopped, and end with the process.
    """
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=END_GRACE))
    # A generator of a handler may wait for anything when it is closed.
    closing = loop.create_task(loop.shutdown_asyncgens())
    loop.run_until_complete(asyncio.wait({closing}, timeout=END_GRACE))
    # The drain has told whose handlers do not stop; that their tasks end unfinished needs no line each.
    loop.set_exception_handler(lambda _loop, _context: None)
    asyncio.set_event_loop(None)
    loop.close()


async def _serve(
    settings: Settings,
    components: Components,
    logger: Any,
    clock: Clock,
    wait: float = 0.0,
    limit: int = sys.maxsize,
) -> None:
    connections = settings.backends.connections.name
    if not components[Kind.CONNECTIONS, connections].holds_sockets:
        raise StartError(
            f"the connections {connections!r} are not held by this process, so there is nothing to serve here; "
            "'streamer worker' runs their requests, 'streamer emulate' tries the whole on this machine, and 'streamer "
            "export' writes what deploys it"
        )
    wanted = settings.server
    settings = dataclasses.replace(settings, server=fit(settings, limit))
    stop, force_stop = asyncio.Event(), asyncio.Event()
    on_stop(stop, force_stop, HeldLoop(asyncio.get_running_loop(), settings.server.drain_timeout, logger).told_to_stop)
    start = StartRetry(wait, clock, logger, stop)
    async with contextlib.AsyncExitStack() as stack:
        service = await start.until_free(
            lambda: stack.enter_async_context(open_service(settings, components, logger=logger, clock=clock))
        )
        transport = WebSocketTransport(
            settings.server,
            receiver=service.router,
            registry=service.connections,
            clock=clock,
            logger=logger,
            authenticator=service.authenticator,
            deadlines=service.deadlines,
            health=service.health,
            owners=OwnerNames(await service.store.keep(OWNER_KEY, new_key())),
        )
        await start.until_free(transport.start)
        failing = asyncio.create_task(fail_with(service.store), name="store")
        background = [
            failing,
            asyncio.create_task(service.worker.run(), name="worker"),
            asyncio.create_task(_purge(service, clock, logger), name="purge"),
            asyncio.create_task(service.tracker.run(), name="deliveries"),
            asyncio.create_task(transport.failed(), name="transport"),
        ]
        if service.orphan_watch is not None:
            background.append(asyncio.create_task(service.orphan_watch.run(), name="orphans"))
        stopping = asyncio.create_task(stop.wait(), name="stop")
        leave_alone_what_exists()
        logger.info("ready", url=_url(settings, transport.port), actions=len(service.router.routes))
        # Not before: whoever starts the service may wait for its first line.
        warn(wanted, settings.server, limit, logger)
        try:
            await asyncio.wait([*background, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in background:
                if task.done():
                    task.result()
        finally:
            # What no store can take down is not worth waiting for.
            start_retry = 0.0 if failing.done() else settings.server.drain_timeout
            await _drain(service, transport, [*background, stopping], start_retry, force_stop, logger)


async def fail_with(store: RequestQueue) -> None:
    """Waits until the store has failed for good.

    Raises:
        StoreUnavailable: it has; and why, as far as it says so.
    """
    await store.failed()
    reason = "it does not say why"
    try:
        await store.counts()
    except StoreError as problem:
        reason = str(problem)
    raise StoreUnavailable(f"the store has failed for good: {reason}")


async def _drain(
    service: Service,
    transport: WebSocketTransport,
    tasks: list[asyncio.Task[Any]],
    start_retry: float,
    force_stop: asyncio.Event,
    logger: Any,
) -> None:
    """No new connections, no new requests; what runs may finish; what does not goes back to the queue.

    Queued requests have `start_retry` seconds, direct ones the whole `server.drain_timeout`; nobody has any more once
    `force_stop` is set, by a second signal.
    """
    timeout = service.settings.server.drain_timeout
    logger.info("draining", running=len(service.worker.running), connections=transport.open_connections)
    transport.begin_drain()
    service.router.begin_drain()
    service.worker.pause()
    draining = asyncio.create_task(_both(service, start_retry, timeout))
    hurried = asyncio.create_task(force_stop.wait())
    await asyncio.wait([draining, hurried], return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not draining.done():
        logger.warning("told again to stop: not waiting any longer")
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)
        draining = asyncio.create_task(_both(service, 0.0, 0.0))
    returned = await draining
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await transport.close()
    # Until their connections had ended, clients could show what they took.
    await service.tracker.write()
    logger.info("stopped", returned_to_queue=returned)


async def _both(service: Service, start_retry: float, timeout: float) -> int:  # noqa: ASYNC109 - a bound on the handlers
    returned, _ = await asyncio.gather(service.worker.drain(start_retry), service.router.drain(timeout))
    return returned


async def _purge(service: Service, clock: Clock, logger: Any) -> None:
    store = service.store
    ages: Ages | None = None
    while True:
        with contextlib.suppress(StoreError):
            if ages is None:
                ages = Ages.load(await store.keep(AGES_KEY, b""), service.settings.worker.result_ttl)
            ages.observe(clock.now(), clock.monotonic())
            await store.keep(AGES_KEY, ages.dump(), replace=True)
            before = ages.before()
            if before is not None and (purged := await store.purge(before)):
                logger.info("expired results deleted", count=purged)
        await clock.sleep(PURGE_INTERVAL)


def _url(settings: Settings, port: int) -> str:
    scheme = "ws" if settings.server.tls is None else "wss"
    host = settings.server.host
    if ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}:{port}{settings.server.path}"
