"""A service inside one sandbox of Lambda: opened when it is first needed, kept for later invocations."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streamer.contracts.components import Kind
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import StartError
from streamer.engine.attempt_states import StopReason
from streamer.engine.timeouts import STOP_GRACE, wait_up_to
from streamer.runtime.configuration import read

if TYPE_CHECKING:
    from streamer.config.settings import Settings
    from streamer.core.messages import Request
    from streamer.engine.events import EventRouter
    from streamer.engine.routes import Route
    from streamer.plugins.registry import Registry
    from streamer.runtime.assembly import Service
    from streamer_aws.functions.authorizer import GatewayAuthorizer
    from streamer_aws.functions.processor import Processor
    from streamer_aws.functions.sweep import Sweep
    from streamer_aws.functions.waker import Waker

QUEUE_URL: Final = "STREAMER_QUEUE_URL"
"""Of the queue of wake-ups; without it a stream wakes the processors."""
RETRY_QUEUE_URL: Final = "STREAMER_RETRY_QUEUE_URL"
"""With a stream that wakes the processors: the queue for delayed and repeated requests, which a stream cannot
announce.
"""


class EdgeRuntime(NamedTuple):
    """What `$connect` and `$disconnect` need: no handlers, no store, and no plugins except the authenticator's."""

    authorizer: GatewayAuthorizer
    connections: Any


class Runtime(NamedTuple):
    """The whole service."""

    service: Service
    events: EventRouter
    processor: Processor
    sweep: Sweep
    connections: Any


class Sandbox:
    """The entry points as coroutines, over one service that is opened once.

    Everything is awaited before an entry point returns, since nothing runs between invocations.

    Args:
        config_path: the service's file.
        environ: fills the file's variables and contains the queue's URL. Default: the process's own.
        clock: time.
        logger: for the service as a whole. Default: as configured in the file.
    """

    def __init__(
        self,
        config_path: Path,
        environ: Mapping[str, str] | None = None,
        *,
        clock: Clock | None = None,
        logger: Any = None,
    ) -> None:
        self._path = config_path
        self._environ = os.environ if environ is None else environ
        self._clock = clock or SystemClock()
        self._logger = logger
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._file: tuple[Settings, Registry] | None = None
        self._edge: EdgeRuntime | None = None
        self._runtime: Runtime | None = None

    async def connect(self, event: Mapping[str, Any], _context: Any = None) -> dict[str, Any]:
        """`$connect`: accepts or refuses the connection, and stores its principal."""
        edge = await self.open_edge()
        _learn_endpoint(edge.connections, event, self._environ)
        return await edge.authorizer.connect(event)

    async def disconnect(self, event: Mapping[str, Any], _context: Any = None) -> dict[str, Any]:
        """`$disconnect`: deletes the connection. If it is never called, the connection expires."""
        edge = await self.open_edge()
        await edge.authorizer.disconnect(event)
        return {"statusCode": 200}

    async def default(self, event: Mapping[str, Any], _context: Any = None) -> dict[str, Any]:
        """A message: answered at once, or stored and acknowledged."""
        runtime = await self.open_runtime()
        _learn_endpoint(runtime.connections, event, self._environ)
        answer = await runtime.events.route(event)
        await self._settle(runtime)
        return answer

    async def processor(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """A batch of wake-ups, from the queue or from the stream of the table."""
        runtime = await self.open_runtime()
        answer = await runtime.processor.process(event, _remaining(context))
        await self._settle(runtime)
        return answer

    async def sweep(self, _event: Mapping[str, Any], context: Any) -> dict[str, int]:
        """The schedule."""
        runtime = await self.open_runtime()
        found = await runtime.sweep.run(_remaining(context))
        await self._settle(runtime)
        return found

    async def close(self) -> None:
        """Closes everything; no entry point may be called any longer."""
        await self._stack.aclose()

    async def kill(self) -> None:
        """Ends it as Lambda does: running handlers are cancelled, and can no longer write.

        A function in a thread continues to its end, because threads cannot be stopped.
        """
        if self._runtime is not None:
            service = self._runtime.service
            await service.store.close()
            service.worker.stop(StopReason.LOST)
            await service.router.drain(0.0)
            await wait_up_to(STOP_GRACE, service.worker.idle(), self._clock)
        await self.close()

    async def open_edge(self) -> EdgeRuntime:
        """What connections need to open and to end.

        Raises:
            StreamerError: the service cannot start; the message is one line.
        """
        async with self._opening:
            if self._edge is None:
                self._edge = await self._make_edge()
        return self._edge

    async def open_runtime(self) -> Runtime:
        """The whole service.

        Raises:
            StreamerError: the service cannot start; the message is one line.
        """
        async with self._opening:
            if self._runtime is None:
                self._runtime = await self._make_runtime()
        return self._runtime

    async def _settle(self, runtime: Runtime) -> None:
        await runtime.service.delivery.settle()

    def _read(self) -> tuple[Settings, Registry, Any]:
        if self._file is None:
            settings, registry = read(self._path, self._environ)
            backends = settings.backends
            if not registry.components[Kind.CONNECTIONS, backends.connections.name].several_processes:
                raise StartError(
                    f"{self._path}: the connections are {backends.connections.name!r}, which belong to one process; "
                    "API Gateway requires 'backends: {connections: {use: apigateway}}'"
                )
            if not registry.components[Kind.STORE, backends.store.name].claims_by_key:
                raise StartError(
                    f"{self._path}: the store is {backends.store.name!r}, which cannot claim the one request that a "
                    "function is woken for; AWS requires 'backends: {store: {use: dynamodb}}'"
                )
            self._file = settings, registry
        settings, registry = self._file
        if self._logger is None:
            from streamer.runtime.logs import configure  # noqa: PLC0415 - only where nobody has configured them

            self._logger = configure(settings.logs.level, settings.logs.format, secrets=settings.secrets)
        return settings, registry, self._logger

    def _waker(self, settings: Settings) -> Waker:
        from streamer_aws.functions.waker import Waker  # noqa: PLC0415 - what an invocation does not need is not imported

        region = settings.backends.connections.options.get("region")
        url = self._environ.get(QUEUE_URL) or self._environ.get(RETRY_QUEUE_URL, "")
        return Waker(url, region=region, logger=self._logger)

    async def _make_edge(self) -> EdgeRuntime:
        from streamer.engine.connection_ends import ConnectionEnds  # noqa: PLC0415 - as above
        from streamer.runtime.assembly import open_edge  # noqa: PLC0415 - as above
        from streamer_aws.functions.authorizer import GatewayAuthorizer  # noqa: PLC0415 - as above

        settings, registry, logger = self._read()
        async with AsyncExitStack() as stack:
            connections, authenticator = await stack.enter_async_context(
                open_edge(settings, registry.components, logger=logger, clock=self._clock)
            )
            waker = self._waker(settings)
            stack.push_async_callback(waker.close)
            authorizer = GatewayAuthorizer(
                connections,
                authenticator,
                settings.server,
                clock=self._clock,
                logger=logger,
                leave=ConnectionEnds(connections.subscriptions, waker.look_at_left, logger).ended,
            )
            self._stack.push_async_exit(stack.pop_all())
        return EdgeRuntime(authorizer, connections)

    async def _make_runtime(self) -> Runtime:
        from streamer.engine.connection_ends import ConnectionEnds  # noqa: PLC0415 - as above
        from streamer.engine.orphans import OrphanCanceller  # noqa: PLC0415 - as above
        from streamer.runtime.assembly import open_service  # noqa: PLC0415 - as above
        from streamer_aws.functions.authorizer import GatewayAuthorizer  # noqa: PLC0415 - as above
        from streamer_aws.functions.processor import Processor, fits  # noqa: PLC0415 - as above
        from streamer_aws.functions.sweep import Sweep  # noqa: PLC0415 - as above

        settings, registry, logger = self._read()
        clock = self._clock
        async with AsyncExitStack() as stack:
            waker = self._waker(settings)
            stack.push_async_callback(waker.close)
            wakes = bool(self._environ.get(QUEUE_URL))

            def on_queued(request: Request, route: Route) -> Awaitable[None] | None:
                # Without the queue, the table's stream wakes the processors.
                return waker.wake((request.owner, request.id), request.action) if wakes and fits(route) else None

            service = await stack.enter_async_context(
                open_service(
                    settings,
                    registry.components,
                    logger=logger,
                    clock=clock,
                    name=self._environ.get("AWS_LAMBDA_LOG_STREAM_NAME"),
                    on_queued=on_queued,
                    on_orphaned=waker.look_at_left,
                )
            )
            queue: Any = service.store
            connections = service.connections
            authorizer = GatewayAuthorizer(
                connections,
                service.authenticator,
                settings.server,
                clock=clock,
                logger=logger,
                leave=ConnectionEnds(connections.subscriptions, waker.look_at_left, logger).ended,
                delivered=queue.mark_delivered,
            )
            orphans = OrphanCanceller(connections.subscriptions, service.worker, logger=logger)
            lease = settings.worker.lease
            processor = Processor(
                queue,
                service.worker,
                waker,
                orphans,
                lease=lease,
                concurrency=settings.worker.concurrency,
                clock=clock,
                logger=logger,
            )
            sweep = Sweep(
                queue,
                service.worker,
                processor,
                service.delivery,
                waker,
                orphans,
                lease=lease,
                clock=clock,
                logger=logger,
            )
            self._stack.push_async_exit(stack.pop_all())
        return Runtime(service, service.router.events(authorizer), processor, sweep, connections)


def _remaining(context: Any) -> float:
    """Seconds until the sandbox is killed."""
    return float(context.get_remaining_time_in_millis()) / 1000


def _learn_endpoint(connections: Any, event: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """The endpoint for posts, from an event: if the template passed it to its functions, its references would be
    circular.
    """
    context = event["requestContext"]
    region = environ.get("AWS_REGION", "us-east-1")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    connections.use_endpoint(f"https://{context['apiId']}.execute-api.{region}.{suffix}/{context['stage']}")
