"""`serve` in this process: a real port, real signals, stores that fail on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from dataclasses import replace
from typing import Any

import pytest
import websockets

from streamer.config.settings import (
    ActionSettings,
    BackendSettings,
    ComponentUse,
    PluginSettings,
    ServerSettings,
    Settings,
    TlsSettings,
)
from streamer.connections.local import LocalConnections
from streamer.contracts.components import Component, Kind
from streamer.core.clock import SystemClock
from streamer.core.errors import StartError, StoreUnavailable
from streamer.plugins.manager import discover
from streamer.runtime import builtins, serve
from streamer.stores.memory import MemoryStore
from streamer.testing import RecordingLogger
from streamer.testing.clock import settle

HOUR = 3600.0
DAY = 24 * HOUR


class FailingStore(MemoryStore):
    """Fails for good when it is told to; whether it then says why is the test's choice."""

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.broken = asyncio.Event()
        self.reason = reason

    async def failed(self) -> None:
        await self.broken.wait()

    async def counts(self) -> Any:
        if self.reason and self.broken.is_set():
            raise StoreUnavailable(self.reason)
        return await super().counts()


@pytest.fixture(scope="module")
def components() -> Any:
    return discover(PluginSettings(), builtins=[builtins], entry_points=lambda group: []).components


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return Settings(
        path=tmp_path / "streamer.yaml",
        server=ServerSettings(port=0, drain_timeout=10.0),
        backends=BackendSettings(store=ComponentUse(name="memory")),
        actions={
            "echo": ActionSettings(name="echo", handler="echo"),
            "nap": ActionSettings(name="nap", handler="delay", options={"delay": "1h"}, mode="async"),
        },
    )


def with_store(components: Any, store: Any) -> Any:
    made = Component(kind=Kind.STORE, name="memory", factory=lambda _options, _context: store)
    return {**components, (Kind.STORE, "memory"): made}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_it_is_told_to_stop(settings, components, number):
    logger = RecordingLogger()
    serving = asyncio.create_task(serve._serve(settings, components, logger, SystemClock()))
    async with websockets.connect((await logger.until("ready"))["url"]) as client:
        await client.send('{"action":"echo","payload":1}')
        assert json.loads(await client.recv())["data"]["echo"] == 1
        os.kill(os.getpid(), number)
        await serving
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()
        assert client.close_code == 3001
    assert logger.fields("ready")["actions"] == 2
    assert logger.fields("draining") == {"running": 0, "connections": 1}
    assert logger.fields("stopped") == {"returned_to_queue": 0}


class OnlyTheContract:
    """A plugin's connections: no more than `ConnectionManager` and `PeerRegistry` ask for."""

    def __init__(self) -> None:
        inner = LocalConnections()
        self.send, self.room = inner.send, inner.room
        self.broadcast, self.is_active = inner.broadcast, inner.is_active
        self.add, self.remove = inner.add, inner.remove


async def test_it_drains_connections_of_a_plugin_that_can_do_what_the_contract_says_and_no_more(settings, components):
    made = Component(
        kind=Kind.CONNECTIONS,
        name="own",
        namespace="acme",
        holds_sockets=True,
        factory=lambda _options, _context: OnlyTheContract(),
    )
    components = {**components, (Kind.CONNECTIONS, "acme.own"): made}
    settings = replace(settings, backends=replace(settings.backends, connections=ComponentUse(name="acme.own")))
    logger = RecordingLogger()
    serving = asyncio.create_task(serve._serve(settings, components, logger, SystemClock()))
    async with websockets.connect((await logger.until("ready"))["url"]) as client:
        await client.send('{"action":"echo","payload":1}')
        assert json.loads(await client.recv())["data"]["echo"] == 1
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    assert client.close_code == 3001
    assert logger.fields("draining") == {"running": 0, "connections": 1}


async def test_a_second_signal_ends_the_drain_and_what_runs_goes_back(settings, components):
    store = MemoryStore()
    logger = RecordingLogger()
    patient = replace(settings, server=replace(settings.server, drain_timeout=3600.0))
    serving = asyncio.create_task(serve._serve(patient, with_store(components, store), logger, SystemClock()))
    async with websockets.connect((await logger.until("ready"))["url"]) as client:
        await client.send('{"action":"nap","id":"n"}')
        assert json.loads(await client.recv())["type"] == "acknowledgment"
        os.kill(os.getpid(), signal.SIGTERM)
        await logger.until("draining")
        os.kill(os.getpid(), signal.SIGINT)
        await logger.until("stopped")
        await serving
    assert logger.fields("stopped") == {"returned_to_queue": 1}
    assert (await store.counts())["PENDING"] == 1


@pytest.mark.parametrize(
    ("reason", "told"),
    [("the disk is gone", "the disk is gone"), ("", "without a reason")],
)
async def test_a_store_that_fails_for_good_ends_it_without_waiting_for_what_cannot_be_stored(
    settings, components, reason, told
):
    store = FailingStore(reason)
    logger = RecordingLogger()
    serving = asyncio.create_task(serve._serve(settings, with_store(components, store), logger, SystemClock()))
    async with websockets.connect((await logger.until("ready"))["url"]) as client:
        await client.send('{"action":"nap","id":"n"}')
        assert json.loads(await client.recv())["type"] == "acknowledgment"
        await settle()
        store.broken.set()
        with pytest.raises(StoreUnavailable, match=f"^the store has failed permanently: {told}$"):
            await serving


async def test_a_worker_that_breaks_ends_it_and_clients_are_told_to_come_back(settings, components, monkeypatch):
    async def broken(_self: Any) -> None:
        raise RuntimeError("a fault of ours")

    logger = RecordingLogger()
    monkeypatch.setattr("streamer.engine.worker.Worker.run", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await serve._serve(settings, components, logger, SystemClock())
    assert logger.fields("stopped")


def test_the_address_is_told_as_a_client_writes_it(settings, tmp_path):
    assert serve._url(settings.server, 80) == "ws://127.0.0.1:80/ws"
    over_tls = ServerSettings(host="::1", path="/x", tls=TlsSettings(cert=tmp_path, key=tmp_path))
    assert serve._url(over_tls, 443) == "wss://[::1]:443/x"


def test_a_port_that_is_taken_is_told_and_what_was_opened_is_closed(settings, components):
    closed = []

    class Store(MemoryStore):
        async def close(self) -> None:
            closed.append(self)

    @contextlib.asynccontextmanager
    async def build(_options: Any, _context: Any) -> Any:
        store = Store()
        try:
            yield store
        finally:
            await store.close()

    managed = {**components, (Kind.STORE, "memory"): Component(kind=Kind.STORE, name="memory", factory=build)}
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        taken = replace(settings, server=ServerSettings(port=port))
        with pytest.raises(StartError, match=str(port)):
            serve.serve(taken, managed, logger=RecordingLogger())
    assert len(closed) == 1
