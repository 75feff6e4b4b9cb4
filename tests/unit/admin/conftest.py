"""A service in this process, with its admin port open on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import websockets

from streamer.config.settings import (
    ActionSettings,
    AdminSettings,
    BackendSettings,
    ComponentUse,
    PluginSettings,
    ServerSettings,
    Settings,
)
from streamer.contracts.components import Component, Kind
from streamer.core.clock import SystemClock
from streamer.plugins.manager import discover
from streamer.runtime import builtins, serve
from streamer.testing import RecordingLogger

TOKEN = "t" * 40


class Admin:
    """A running service, and what asks its admin port.

    Args:
        logger: of the service.
        session: keeps no token.
        url: of the admin port.
        service: the WebSocket's address.
    """

    def __init__(self, logger: RecordingLogger, session: aiohttp.ClientSession, url: str, service: str) -> None:
        self.logger = logger
        self.url = url
        self.service = service
        self._session = session

    async def ask(self, path: str, method: str = "GET", **options: Any) -> tuple[int, str]:
        """The status and the text of the answer."""
        async with self._session.request(method, f"{self.url}{path}", **options) as answer:
            return answer.status, await answer.text()

    async def json(self, path: str, method: str = "GET", **options: Any) -> Any:
        """The JSON of an answer that must be 200."""
        status, text = await self.ask(path, method, **options)
        assert status == 200, f"{status}: {text}"
        return json.loads(text)

    async def headers(self, path: str, method: str = "GET", **options: Any) -> Any:
        """The headers of the answer."""
        async with self._session.request(method, f"{self.url}{path}", **options) as answer:
            return answer.headers

    async def samples(self) -> dict[str, float]:
        """The samples of a scrape, by name with labels."""
        _, text = await self.ask("/metrics")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def samples_until(self, done: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """The samples of the first scrape that satisfies the condition."""
        while True:
            samples = await self.samples()
            if done(samples):
                return samples
            await asyncio.sleep(0.01)

    async def call(self, *messages: dict[str, Any], answers: int | None = None) -> list[dict[str, Any]]:
        """Sends messages over one connection; as many answers, or one for each message."""
        async with websockets.connect(self.service) as client:
            for message in messages:
                await client.send(json.dumps(message))
            return [json.loads(await client.recv()) for _ in range(answers or len(messages))]


@pytest.fixture(scope="session")
def components() -> Any:
    return discover(PluginSettings(), builtins=[builtins], entry_points=lambda group: []).components


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    pytest.importorskip("prometheus_client", reason="the extra admin is not installed")
    return Settings(
        path=tmp_path / "streamer.yaml",
        server=ServerSettings(port=0, drain_timeout=0.1),
        admin=AdminSettings(enabled=True, port=0),
        backends=BackendSettings(store=ComponentUse(name="memory")),
        actions={
            "echo": ActionSettings(name="echo", handler="echo"),
            "nap": ActionSettings(name="nap", handler="delay", options={"delay": "1h"}, mode="async"),
            "report": ActionSettings(name="report", handler="echo", mode="async", estimated_duration=10.0),
        },
    )


def with_store(components: Any, store: Any) -> Any:
    """The components with this store under the name `memory`."""
    made = Component(kind=Kind.STORE, name="memory", factory=lambda _options, _context: store)
    return {**components, (Kind.STORE, "memory"): made}


@contextlib.asynccontextmanager
async def running(settings: Settings, components: Any) -> AsyncIterator[Admin]:
    """The service of these settings; it is stopped by a signal, as its users stop it."""
    logger = RecordingLogger()
    serving = asyncio.create_task(serve._serve(settings, components, logger, SystemClock()))
    try:
        waiting = asyncio.create_task(logger.until("ready"))
        await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        async with aiohttp.ClientSession() as session:
            yield Admin(logger, session, logger.fields("admin port")["url"], (await waiting)["url"])
    finally:
        if not serving.done():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait({serving})


@pytest.fixture
def start(components: Any) -> Callable[..., contextlib.AbstractAsyncContextManager[Admin]]:
    """Starts a service with settings, and perhaps a store or components of the test's own; use it with `async with`."""
    built_in = components

    def starting(
        settings: Settings, store: Any = None, components: Any = built_in
    ) -> contextlib.AbstractAsyncContextManager[Admin]:
        return running(settings, components if store is None else with_store(components, store))

    return starting


@pytest.fixture
async def admin(settings: Settings, components: Any) -> AsyncIterator[Admin]:
    async with running(settings, components) as made:
        yield made


@pytest.fixture
async def guarded(settings: Settings, components: Any) -> AsyncIterator[Admin]:
    """The same with a token."""
    admin = dataclasses.replace(settings.admin, token=TOKEN)
    async with running(dataclasses.replace(settings, admin=admin), components) as made:
        yield made
