"""Builds a service from settings and components, in one exit stack: a half-done start is undone."""

from __future__ import annotations

import contextlib
import os
import platform
import random
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from streamer.config.hiding import hide
from streamer.config.settings import ActionSettings, ComponentUse, Settings
from streamer.contracts.auth import Authenticator
from streamer.contracts.components import BuildContext, Component, Kind
from streamer.contracts.connections import SharedConnections
from streamer.contracts.stores import RequestQueue
from streamer.core.clock import Clock, SystemClock
from streamer.core.health import Health
from streamer.engine.adapters import RequestQueueAdapter
from streamer.engine.causes import cause_of
from streamer.engine.codec import Codec
from streamer.engine.delivery import Delivery
from streamer.engine.delivery_tracker import DeliveryTracker
from streamer.engine.departures import Departures
from streamer.engine.pipeline import AnyMiddleware
from streamer.engine.renewal import NAME as RENEWAL
from streamer.engine.renewal import Authenticate, renewal_route
from streamer.engine.router import Router
from streamer.engine.service_actions import for_service_actions, service_routes
from streamer.engine.shared_delivery import SharedDelivery
from streamer.engine.worker import Worker
from streamer.handlers.functions import adapt
from streamer.handlers.pools import Pools
from streamer.middlewares.rate_limit import RateLimit
from streamer.runtime.building import build, build_context, naming
from streamer.runtime.compiler import compile_route

Components = Mapping[tuple[Kind, str], Component]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What was built. Nothing listens and nothing is claimed until `serve` starts it."""

    settings: Settings
    store: RequestQueue
    connections: Any
    delivery: Delivery | SharedDelivery
    """Shared where the connections are."""
    deliveries: DeliveryTracker
    router: Router
    worker: Worker
    health: Health
    """What its parts report."""
    pools: Pools
    """Where functions run; knows how many outlived their requests."""
    departures: Departures | None = None
    """Only where an action ends with its followers."""
    authenticator: Authenticator | None = None
    """None: nobody is asked."""
    renewal: Authenticate | None = None
    """Only with an authenticator."""


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
) -> AsyncIterator[Service]:
    """Builds every component that the file uses, and binds every action to its validator, pipeline and handler.

    Args:
        settings: the file.
        components: by kind and full name, as the registry has them.
        logger: bound with what concerns the whole service.
        clock: time; the machine's when left out.
        name: of this process, written into each claim; its machine and number when left out.
        actions: that the worker takes; all when empty.
        generator: of the jitter between attempts; one of its own when left out.

    Raises:
        StartError: something that only a start can show, such as a store that another process holds.
        StreamerError: as the component's factory raises.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        context = _context(settings, components, logger, clock)
        builder = _Builder(stack, components, context)
        store = await builder.build(Kind.STORE, settings.backends.store)
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

        # What the component declares: its object is that of an outsider, which nothing else can say the type of.
        shared: SharedConnections | None = connections if context.shared_connections else None
        deliveries = DeliveryTracker(store, clock=clock, logger=logger)
        delivery: Delivery | SharedDelivery
        if shared is None:
            delivery = Delivery(connections, logger, queue=store, tracker=deliveries)
        else:
            delivery = SharedDelivery(shared, shared.followers, store, logger, connected=shared.connected, clock=clock)
        router = Router(
            RequestQueueAdapter(store, {}),
            connections,
            clock=clock,
            logger=logger,
            delivery=delivery,
            codec=Codec(max_depth=settings.service.max_depth, strict=settings.service.strict_messages),
            max_running=settings.server.max_running,
            max_result_size=settings.service.max_result_size,
            expose_errors=settings.service.expose_errors,
        )
        for action in settings.actions.values():
            component = components[Kind.HANDLER, action.handler]
            made = await builder.build(Kind.HANDLER, ComponentUse(name=action.handler, options=action.options))
            with naming(component):
                handler = adapt(made, pools=pools)
                route = compile_route(
                    action, settings.service, component, handler, [*middlewares, *_rate_limits(action, clock)]
                )
            router.add(route)
        router.store = RequestQueueAdapter(store, router.routes)
        worker = Worker(
            store,
            router.routes,
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
        router.add_service_routes(
            service_routes(
                router.routes,
                store,
                worker,
                delivery,
                clock=clock,
                logger=logger,
                middlewares=middlewares,
                limit=settings.server.max_service_actions,
            )
        )
        renewal = None
        if authenticator is not None:
            renewal = Authenticate(authenticator)
            if shared is not None and shared.connected is not None:
                renewal.on_renewed = shared.connected.renew
            around = for_service_actions(middlewares)
            router.add_service_routes({**router.service_routes, RENEWAL: renewal_route(renewal, authenticator, around)})
        router.on_queued = worker.wake
        if shared is None and not components[Kind.STORE, settings.backends.store.name].several_processes:
            # A store of this process alone keeps the order of its calls; another would be asked in vain.
            router.on_storing = worker.expect
        departures = None
        if isinstance(delivery, Delivery) and any(route.cancel_after is not None for route in router.routes.values()):
            departures = Departures(store, router.routes, delivery, worker, clock=clock, logger=logger)
            delivery.on_left = departures.left
        yield Service(
            settings=settings,
            store=store,
            connections=connections,
            delivery=delivery,
            deliveries=deliveries,
            router=router,
            worker=worker,
            health=context.health,
            pools=pools,
            departures=departures,
            authenticator=authenticator,
            renewal=renewal,
        )


@contextlib.asynccontextmanager
async def open_entrance(
    settings: Settings, components: Components, *, logger: Any, clock: Clock | None = None
) -> AsyncIterator[tuple[Any, Authenticator | None]]:
    """The connections and the authenticator alone: for a process that lets connections in and serves none.

    Args:
        settings: the file.
        components: by kind and full name, as the registry has them.
        logger: bound with what concerns the whole service.
        clock: time; the machine's when left out.

    Raises:
        StreamerError: as the component's factory raises.
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
    """The action's own limit, which stands innermost: what others refuse does not count."""
    own = action.rate_limit
    return [] if own is None else [RateLimit(own.limit, clock=clock, burst=own.burst, per=own.per)]


async def _stop(pools: Pools, worker: Worker) -> None:
    """What is given back at last may run elsewhere at once: by then no function should run here any more."""
    await pools.close()
    await worker.close()


class _Builder:
    def __init__(self, stack: contextlib.AsyncExitStack, components: Components, context: BuildContext) -> None:
        self._stack = stack
        self._components = components
        self._context = context

    async def build(self, kind: Kind, use: ComponentUse) -> Any:
        """The component's object; what it must tidy up is on the stack."""
        return await build(self._stack, self._components[kind, use.name], use.options, self._context)
