"""`work` in this process: what is queued is run without a port, and real signals drain it."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from streamer.config.settings import (
    ActionSettings,
    AdminSettings,
    BackendSettings,
    ComponentUse,
    PluginSettings,
    ServerSettings,
    Settings,
)
from streamer.connections.local import LocalConnections
from streamer.contracts.components import Component, Kind
from streamer.core.clock import SystemClock
from streamer.core.errors import StartError
from streamer.plugins.manager import discover
from streamer.runtime import builtins, work
from streamer.stores.memory import MemoryStore
from streamer.testing import RecordingLogger
from streamer.testing.conformance import record


class NobodySubscribed:
    """Subscriptions of a service that no client is connected to."""

    async def add(self, *_: Any, **__: Any) -> None:
        pass

    async def of(self, *_: Any, **__: Any) -> list[str]:
        return []

    async def claim(self, *_: Any, **__: Any) -> bool:
        return False

    async def leave(self, *_: Any) -> list[Any]:
        return []

    async def is_orphaned(self, *_: Any) -> bool:
        return False

    async def orphaned(self, *_: Any, **__: Any) -> list[Any]:
        return []

    async def clear(self, *_: Any) -> None:
        pass


class ConnectionsElsewhere(LocalConnections):
    """Connections that other processes hold."""

    def __init__(self) -> None:
        super().__init__()
        self.subscriptions = NobodySubscribed()
        self.connected = None
        self.progress_interval = 0.0


@pytest.fixture
async def store():
    return MemoryStore()


@pytest.fixture
def components(store):
    found = discover(PluginSettings(), builtins=[builtins], entry_points=lambda group: []).components
    shared = {"several_processes": True}
    return {
        **found,
        (Kind.STORE, "memory"): Component(kind=Kind.STORE, name="memory", factory=lambda *_: store, **shared),
        (Kind.CONNECTIONS, "local"): Component(
            kind=Kind.CONNECTIONS, name="local", factory=lambda *_: ConnectionsElsewhere(), **shared
        ),
    }


@pytest.fixture
def settings(tmp_path):
    return Settings(
        path=tmp_path / "streamer.yaml",
        server=ServerSettings(drain_timeout=3600.0),
        backends=BackendSettings(store=ComponentUse(name="memory")),
        actions={
            "echo": ActionSettings(name="echo", handler="echo", mode="async"),
            "nap": ActionSettings(name="nap", handler="delay", options={"delay": "1h"}, mode="async"),
        },
    )


async def until(store, status):
    async with asyncio.timeout(30):
        while not (await store.counts())[status]:
            await asyncio.sleep(0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_runs_what_is_queued_until_it_is_told_to_stop(settings, components, store, number):
    logger = RecordingLogger()
    await store.enqueue(record(SystemClock(), action="echo"))
    working = asyncio.create_task(work._work(settings, components, logger, SystemClock(), ()))
    await until(store, "COMPLETED")
    os.kill(os.getpid(), number)
    await working
    assert logger.fields("ready")["actions"] == 2
    assert logger.fields("draining") == {"running": 0}
    assert logger.fields("stopped") == {"returned_to_queue": 0}


async def test_a_second_signal_gives_back_what_runs(settings, components, store):
    logger = RecordingLogger()
    await store.enqueue(record(SystemClock(), action="nap"))
    working = asyncio.create_task(work._work(settings, components, logger, SystemClock(), ("nap",)))
    await until(store, "PROCESSING")
    os.kill(os.getpid(), signal.SIGTERM)
    await logger.until("draining")
    os.kill(os.getpid(), signal.SIGTERM)
    await working
    assert logger.fields("ready")["actions"] == ["nap"]
    assert logger.fields("second signal: stopping now") == {}
    assert logger.fields("stopped") == {"returned_to_queue": 1}
    assert (await store.counts())["PENDING"] == 1


@pytest.mark.parametrize(("kind", "name"), [(Kind.STORE, "memory"), (Kind.CONNECTIONS, "local")])
async def test_what_belongs_to_one_process_is_refused_before_anything_is_opened(settings, components, kind, name):
    alone = {**components, (kind, name): replace(components[kind, name], several_processes=False)}
    with pytest.raises(StartError, match=name):
        await work._work(settings, alone, RecordingLogger(), SystemClock(), ())


async def test_its_admin_port_counts_what_it_runs(settings, components, store):
    pytest.importorskip("prometheus_client", reason="the extra admin is not installed")
    logger = RecordingLogger()
    await store.enqueue(record(SystemClock(), action="echo"))
    observed = replace(settings, admin=AdminSettings(enabled=True, port=0))
    working = asyncio.create_task(work._work(observed, components, logger, SystemClock(), ()))
    await until(store, "COMPLETED")
    url = logger.fields("admin port")["url"]
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    assert 'streamer_attempts_total{action="echo",outcome="completed"} 1.0' in text
    assert "streamer_connections 0.0" in text
    os.kill(os.getpid(), signal.SIGTERM)
    await working
