"""Builds a service from settings and components, in one exit stack: a start that fails is undone."""

from __future__ import annotations

import contextlib
import os
import platform
import random
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from streamer.config.redaction import hide
from streamer.config.settings import ActionSettings, ComponentUse, Settings
from streamer.contracts.auth import Authenticator
from streamer.contracts.components import BuildContext, Component, Kind
from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock, SystemClock
from streamer.core.health import Health
from streamer.engine.adapters import RequestQueueAdapter
from streamer.engine.causes import cause_of
from streamer.engine.codec import Codec
from streamer.engine.connection_ends import OnOrphaned
from streamer.engine.delivery import Delivery
from streamer.engine.delivery_tracker import DeliveryTracker
from streamer.engine.observers import Observer
from streamer.engine.orphan_watch import OrphanWatch
from streamer.engine.pipeline import AnyMiddleware
from streamer.engine.renewal import NAME as RENEWAL
from streamer.engine.renewal import Authenticate, Renew, renewal_route
from streamer.engine.router import Router
from streamer.engine.routes import Route
from streamer.engine.service_actions import for_service_actions, service_routes
from streamer.engine.shared_orphans import SharedOrphanWatch
from streamer.engine.submission import OnQueued
from streamer.engine.wake_ups import WakeUps
from streamer.engine.worker import Worker
from streamer.handlers.functions import adapt
from streamer.handlers.pools import Pools
from streamer.middlewares.rate_limit import RateLimit
from streamer.runtime.compiler import compile_route
from streamer.runtime.component_factory import build, build_context, naming
from streamer.runtime.messaging import Backends, Messaging
from streamer.transports.expiry import TokenDeadlines

Components = Mapping[tuple[Kind, str], Component]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts of a service. It does not listen and claims nothing until `serve` starts it."""

    settings: Settings
    store: RequestQueue
    connections: Any
    delivery: Delivery
    tracker: DeliveryTracker
    router: Router
    worker: Worker
    health: Health
    """Problems reported by its parts."""
    pools: Pools
    """Runs functions; knows how many outlived their requests."""
    orphan_watch: OrphanWatch | SharedOrphanWatch | None = None
    """Only if an action's requests depend on their subscribers, and this process holds connections."""
    wake_ups: WakeUps | None = None
    """Only if the store reports requests stored by other processes."""
    authenticator: Authenticator | None = None
    """None: clients are not authenticated."""
    deadlines: TokenDeadlines | None = None
    """When the authentication of connections expires; only with an authenticator."""


@contextlib.asynccontextmanager
async def open_service(
    settings: Settings,
    components: Components,
    *,
    logger: Any,
    clock: Clock | None = None,
    name: str | None = None,
    actions: Collection[str] = (),
    generator: random.Random | None = None,
    on_queued: OnQueued | None = None,
    on_orphaned: OnOrphaned | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Service]:
    """Builds every component that the file uses, and binds every action to its validator, pipeline and handler.

    Args:
        settings: the file.
        components: by kind and full name, from the registry.
        logger: bound with fields of the whole service.
        clock: time. Default: the machine's.
        name: of this process, stored in each claim. Default: its machine and process id.
        actions: that the worker runs; all when empty.
        generator: of the jitter between attempts. Default: a new one.
        on_queued: wakes the worker of a stored request. Default: this process's own worker.
        on_orphaned: for shared connections, called when a request may be orphaned. Default: this process itself, if it
            holds connections.
        observer: wraps the parts that it observes. Default: nothing is observed.

    Raises:
        StartError: a problem that only a start can find, such as a store that another process uses.
        StreamerError: from the component's factory.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        context = _context(settings, components, logger, clock)
        builder = _Builder(stack, components, context)
        store = await builder.build(Kind.STORE, settings.backends.store)
        if observer is not None:
            store = observer.queue(store)
        connections = await builder.build(Kind.CONNECTIONS, settings.backends.connections)
        authenticator = await builder.build(Kind.AUTH, settings.auth)
        middlewares: list[AnyMiddleware] = [await builder.build(Kind.MIDDLEWARE, use) for use in settings.middleware]
        pools = Pools(
            threads=settings.worker.threads,
            direct_threads=settings.worker.direct_threads,
            processes=settings.worker.processes,
            direct_processes=settings.worker.direct_processes,
            logger=logger,
        )

        routes: dict[str, Route] = {}
        for action in settings.actions.values():
            component = components[Kind.HANDLER, action.handler]
            made = await builder.build(Kind.HANDLER, ComponentUse(name=action.handler, options=action.options))
            with naming(component):
                handler = adapt(made, pools=pools)
                routes[action.name] = compile_route(
                    action, settings.service, component, handler, [*middlewares, *_rate_limits(action, clock)]
                )

        backends = Backends(
            store=store,
            connections=connections,
            store_component=components[Kind.STORE, settings.backends.store.name],
            connections_component=components[Kind.CONNECTIONS, settings.backends.connections.name],
        )
        shared = backends.shared
        messaging = Messaging(backends, on_orphaned=on_orphaned, clock=clock, logger=logger)
        delivery = messaging.delivery
        if messaging.forwarded is not None:
            await stack.enter_async_context(connections.receiving(messaging.forwarded.receive))
        worker = Worker(
            store,
            routes,
            delivery,
            clock=clock,
            logger=logger,
            name=name or f"{platform.node()}:{os.getpid()}",
            concurrency=settings.worker.concurrency,
            tenant_concurrency=settings.worker.tenant_concurrency,
            lease=settings.worker.lease,
            poll_interval=settings.worker.poll_interval,
            progress_interval=max(
                settings.worker.progress_interval, 0.0 if shared is None else shared.progress_interval
            ),
            remote=shared is not None,
            actions=actions,
            max_result_size=settings.service.max_result_size,
            expose_errors=settings.service.expose_errors,
            generator=generator,
            causes=lambda problem: cause_of(problem, lambda text: str(hide(text, settings.secrets))),
        )
        stack.push_async_callback(_stop, pools, worker)
        own = service_routes(
            routes,
            store,
            worker,
            delivery,
            clock=clock,
            logger=logger,
            middlewares=middlewares,
            limit=settings.server.max_service_actions,
        )
        deadlines = None
        if authenticator is not None:
            deadlines = TokenDeadlines(leeway=authenticator.leeway, clock=clock)
            renew: Renew = deadlines.renew
            if shared is not None and shared.connected is not None:
                renew = shared.connected.renew
            handler = Authenticate(authenticator, renew)
            own[RENEWAL] = renewal_route(handler, authenticator, for_service_actions(middlewares))
        if observer is not None:
            observer.declare([*routes, *own])
        # A store of this process only answers in the order of the calls; for other stores, an early claim would be
        # wasted.
        in_order = shared is None and not backends.store_component.several_processes
        router = Router(
            RequestQueueAdapter(store, routes),
            connections,
            clock=clock,
            logger=logger,
            delivery=delivery,
            codec=Codec(max_depth=settings.service.max_depth, strict=settings.service.strict_messages),
            max_running=settings.server.max_running,
            max_result_size=settings.service.max_result_size,
            expose_errors=settings.service.expose_errors,
            routes=routes,
            service_routes=own,
            on_queued=worker.queued if on_queued is None else on_queued,
            on_storing=worker.expect if in_order else None,
            observer=observer,
        )
        wake_ups = None
        if backends.store_component.watched:
            wake_ups = WakeUps(store, worker.wake, clock=clock, logger=logger)
        yield Service(
            settings=settings,
            store=store,
            connections=connections,
            delivery=delivery,
            tracker=messaging.tracker,
            router=router,
            worker=worker,
            health=context.health,
            pools=pools,
            orphan_watch=messaging.orphan_watch(worker, routes),
            wake_ups=wake_ups,
            authenticator=authenticator,
            deadlines=deadlines,
        )


@contextlib.asynccontextmanager
async def open_edge(
    settings: Settings, components: Components, *, logger: Any, clock: Clock | None = None
) -> AsyncIterator[tuple[Any, Authenticator | None]]:
    """Only the connections and the authenticator: for a process that accepts connections and runs no requests.

    Args:
        settings: the file.
        components: by kind and full name, from the registry.
        logger: bound with fields of the whole service.
        clock: time. Default: the machine's.

    Raises:
        StreamerError: from the component's factory.
    """
    async with contextlib.AsyncExitStack() as stack:
        builder = _Builder(stack, components, _context(settings, components, logger, clock or SystemClock()))
        yield (
            await builder.build(Kind.CONNECTIONS, settings.backends.connections),
            await builder.build(Kind.AUTH, settings.auth),
        )


def _context(settings: Settings, components: Components, logger: Any, clock: Clock) -> BuildContext:
    def changed(part: str, problem: str | None) -> None:
        if problem is None:
            logger.warning("works again", part=part)
        else:
            logger.error("does not work", part=part, error=problem)

    return build_context(settings, components, clock=clock, logger=logger, health=Health(changed))


def _rate_limits(action: ActionSettings, clock: Clock) -> list[AnyMiddleware]:
    """The action's own limit, innermost: requests that other middleware refuses do not count."""
    own = action.rate_limit
    return [] if own is None else [RateLimit(own.limit, clock=clock, burst=own.burst, per=own.per)]


async def _stop(pools: Pools, worker: Worker) -> None:
    """The last released requests may run in other processes at once: no function may be running here any longer."""
    await pools.close()
    await worker.close()


class _Builder:
    def __init__(self, stack: contextlib.AsyncExitStack, components: Components, context: BuildContext) -> None:
        self._stack = stack
        self._components = components
        self._context = context

    async def build(self, kind: Kind, use: ComponentUse) -> Any:
        """The component's object; its cleanup is added to the stack."""
        return await build(self._stack, self._components[kind, use.name], use.options, self._context)
