"""The whole emulator: gateway, functions, mappings, schedule and the services behind them, opened and closed
together.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
from aiohttp import web

from streamer.core.clock import Clock
from streamer.core.errors import PortInUse
from streamer_aws.emulator.bounded_waits import GRACE, stop_all
from streamer_aws.emulator.faults import Faults
from streamer_aws.emulator.front import Front
from streamer_aws.emulator.functions import NAMES, Function, Sandbox
from streamer_aws.emulator.gateway import Gateway
from streamer_aws.emulator.in_process import Handlers, InProcess
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.management import management
from streamer_aws.emulator.processes import Process
from streamer_aws.emulator.queue_mapping import QueueMapping
from streamer_aws.emulator.resources import CREDENTIALS, client, make_bucket, make_queue, make_tables
from streamer_aws.emulator.schedule import run_schedule
from streamer_aws.emulator.stream_mapping import StreamMapping
from streamer_aws.emulator.throttling import Proxy

HOST: Final = "127.0.0.1"
PATTERN: Final = {"eventName": ["INSERT"]}
"""Which records of the stream wake the processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to emulate."""

    config: Path
    """The service's file; sandboxes read it."""
    store: Mapping[str, Any]
    """Options of the store `dynamodb`."""
    connections: Mapping[str, Any] = field(default_factory=dict)
    """Options of the connections `apigateway`."""
    endpoint_url: str
    """Of the service with the APIs of DynamoDB, SQS and S3."""
    region: str = "us-east-1"
    port: int = 0
    """0: any free port."""
    stage: str = "local"
    wake: Literal["sqs", "streams"] = "sqs"
    handlers: Callable[[Mapping[str, str]], Handlers] | str = "streamer_aws"
    """Creates the handlers for a sandbox's environment; or the module whose functions real processes run."""
    sandboxes: int = 100
    """Maximum per function."""
    processors: int = 10
    """Concurrent batches from the queue."""
    limits: Limits = field(default_factory=Limits)
    seed: int | None = None
    """Of the choice of occasions for faults with a share."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator."""

    url: str
    """The address for clients."""
    http_url: str
    """The address for faults: `<http_url>/_emulator/faults`."""
    environ: Mapping[str, str]
    """The environment of sandboxes, and of every other process that must use the same tables."""
    faults: Faults
    gateway: Gateway
    functions: Mapping[str, Function]
    proxy: Proxy
    mapping: QueueMapping | StreamMapping


@asynccontextmanager
async def open_emulator(plan: Plan, *, clock: Clock, logger: Any) -> AsyncIterator[Emulator]:
    """Creates the tables and the queue, and serves until the context ends. Connections are then closed with 1001.

    Raises:
        PortInUse: another program listens there.
        StoreUnavailable: the tables cannot be created.
    """
    faults = Faults(plan.seed)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        proxy = Proxy(plan.endpoint_url, session, faults)
        proxy_port = await _serve(stack, proxy.application())
        dynamodb = await stack.enter_async_context(client("dynamodb", plan.region, plan.endpoint_url))
        stream = await make_tables(plan.store, plan.connections, dynamodb, clock)
        await make_bucket(plan.store, plan.region, plan.endpoint_url)
        wait = plan.limits.queue_wait + 30.0
        sqs = await stack.enter_async_context(client("sqs", plan.region, plan.endpoint_url, wait))
        queue = await make_queue(f"{plan.store.get('prefix', 'streamer-')}requests", sqs, plan.limits)

        functions: dict[str, Function] = {}

        async def invoke(name: str, event: dict[str, Any]) -> Any:
            return await functions[name].invoke(event)

        gateway = Gateway(invoke, limits=plan.limits, faults=faults, clock=clock, stage=plan.stage)
        runner = web.AppRunner(management(gateway), access_log=None, shutdown_timeout=GRACE)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        server = runner.server
        assert server is not None
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: Front(gateway.socket, server), HOST, plan.port
            )
        except OSError as problem:
            raise PortInUse(
                f"cannot listen on {HOST}:{plan.port}: {problem.strerror}; choose another --port"
            ) from problem
        stack.callback(listener.close)
        place = f"{HOST}:{listener.sockets[0].getsockname()[1]}"
        gateway.domain = place
        environ = {
            **CREDENTIALS,
            "AWS_REGION": plan.region,
            "AWS_DEFAULT_REGION": plan.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{HOST}:{proxy_port}",
            "AWS_ENDPOINT_URL_SQS": plan.endpoint_url,
            "AWS_ENDPOINT_URL_S3": plan.endpoint_url,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"http://{place}/{plan.stage}",
            "STREAMER_CONFIG": str(plan.config.absolute()),
        }
        # If a stream wakes the processor for new requests, the queue is for delayed and repeated ones.
        environ["STREAMER_QUEUE_URL" if plan.wake == "sqs" else "STREAMER_RETRY_QUEUE_URL"] = queue.url
        for name in NAMES:
            functions[name] = _function(name, plan, environ, faults, clock, logger)
            stack.push_async_callback(functions[name].close)
        mapping: QueueMapping | StreamMapping
        mapping = of_queue = QueueMapping(
            sqs,
            url=queue.url,
            arn=queue.arn,
            invoke=invoke,
            concurrency=plan.processors,
            limits=plan.limits,
            region=plan.region,
            faults=faults,
            clock=clock,
            logger=logger,
        )
        background = [asyncio.create_task(of_queue.run(), name="queue")]
        stack.push_async_callback(stop_all, background)
        if plan.wake == "streams":
            mapping = StreamMapping(
                await stack.enter_async_context(client("dynamodbstreams", plan.region, plan.endpoint_url)),
                arn=stream,
                invoke=invoke,
                pattern=PATTERN,
                bisect=True,
                limits=plan.limits,
                faults=faults,
                clock=clock,
                logger=logger,
            )
            background.append(asyncio.create_task(mapping.run(), name="stream"))
        background.append(
            asyncio.create_task(
                run_schedule("sweep", plan.limits.sweep_every, invoke=invoke, region=plan.region, clock=clock),
                name="schedule",
            )
        )
        stack.push_async_callback(gateway.close)
        yield Emulator(
            f"ws://{place}/{plan.stage}", f"http://{place}", environ, faults, gateway, functions, proxy, mapping
        )


def without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the user's own AWS profile, region and credentials."""
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")}


def _function(name: str, plan: Plan, environ: Mapping[str, str], faults: Faults, clock: Clock, logger: Any) -> Function:
    timeouts = {"processor": plan.limits.processor_timeout, "sweep": plan.limits.sweep_timeout}
    timeout = timeouts.get(name, plan.limits.function_timeout)
    return Function(
        name,
        _maker(name, plan.handlers, environ, timeout, clock),
        timeout=timeout,
        sandboxes=plan.sandboxes,
        concurrency=plan.limits.concurrency,
        region=plan.region,
        faults=faults,
        clock=clock,
        logger=logger,
    )


def _maker(
    name: str,
    handlers: Callable[[Mapping[str, str]], Handlers] | str,
    environ: Mapping[str, str],
    timeout: float,
    clock: Clock,
) -> Callable[[], Awaitable[Sandbox]]:
    async def process() -> Sandbox:
        everything = {**without_aws(os.environ), **environ}
        return await Process(f"{handlers}.{name}", everything, name=name, timeout=timeout).start()

    async def in_process() -> Sandbox:
        assert not isinstance(handlers, str)
        return InProcess(handlers(environ), name, clock)

    return process if isinstance(handlers, str) else in_process


async def _serve(stack: AsyncExitStack, app: web.Application) -> int:
    """The port on which it is served."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, HOST, 0).start()
    port: int = runner.addresses[0][1]
    return port
