"""A gateway on a real port, and handlers that do what a test tells them to."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from types import SimpleNamespace

import aiohttp
import pytest
import structlog
from aiohttp import web
from websockets.asyncio.client import connect

from streamer.core.clock import SystemClock
from streamer_aws.emulator.faults import Faults
from streamer_aws.emulator.front import Front
from streamer_aws.emulator.gateway import Gateway
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.management import management


class Handlers:
    """Every event, and what a test wants answered: a value, an exception, or what a coroutine function makes of it."""

    def __init__(self):
        self.events = defaultdict(list)
        self.answers = {}
        self.contexts = []
        self.closed = 0
        self._came = asyncio.Condition()

    async def invoke(self, name, event, context=None):
        self.events[name].append(event)
        self.contexts.append(context)
        async with self._came:
            self._came.notify_all()
        answer = self.answers.get(name, {"statusCode": 200})
        if isinstance(answer, BaseException):
            raise answer
        return await answer(event) if callable(answer) else answer

    async def until(self, name, count):
        """The events of that name, once there are so many."""
        async with self._came, asyncio.timeout(90):
            await self._came.wait_for(lambda: len(self.events[name]) >= count)
        return self.events[name]

    def __getattr__(self, name):
        if name not in ("connect", "disconnect", "default", "processor", "sweep"):
            raise AttributeError(name)
        return lambda event, context: self.invoke(name, event, context)

    async def close(self):
        self.closed += 1

    kill = close


@pytest.fixture
def handlers():
    return Handlers()


@pytest.fixture
def new_handlers():
    return Handlers


@pytest.fixture
def logger():
    return structlog.get_logger()


@pytest.fixture
def faults():
    return Faults(seed=1)


@pytest.fixture
async def serve(handlers, faults):
    """Serves a gateway with these limits, whose functions are the test's handlers; no Lambda between them."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(clock=None, **limits):
            gateway = Gateway(
                handlers.invoke, limits=Limits(**limits), faults=faults, clock=clock or SystemClock(), stage="dev"
            )
            runner = web.AppRunner(management(gateway), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            server = await asyncio.get_running_loop().create_server(
                lambda: Front(gateway.socket, runner.server), "127.0.0.1", 0
            )
            stack.callback(server.close)
            stack.push_async_callback(gateway.close)
            gateway.domain = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return SimpleNamespace(
                gateway=gateway,
                url=f"ws://{gateway.domain}/dev",
                http=f"http://{gateway.domain}",
                session=session,
                open=lambda path="", **options: stack.enter_async_context(
                    connect(f"ws://{gateway.domain}/dev{path}", ping_interval=None, compression=None, **options)
                ),
            )

        yield start
