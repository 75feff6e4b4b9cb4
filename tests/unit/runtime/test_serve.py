"""`serve` in this process: a real port, real signals, stores that fail on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
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
from streamer.runtime.loops import loop_factory
from streamer.stores.memory import MemoryStore
from streamer.stores.sqlite import SqliteStore
from streamer.testing import ManualClock, RecordingLogger
from streamer.testing.clock import settle
from streamer.testing.conformance import record

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
    [("the disk is gone", "the disk is gone"), ("", "it does not say why")],
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
        with pytest.raises(StoreUnavailable, match=f"^the store has failed for good: {told}$"):
            await serving


async def test_a_worker_that_breaks_ends_it_and_clients_are_told_to_come_back(settings, components, monkeypatch):
    async def broken(_self: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(serve, "PURGE_INTERVAL", 3600.0)
    logger = RecordingLogger()
    monkeypatch.setattr("streamer.engine.worker.Worker.run", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await serve._serve(settings, components, logger, SystemClock())
    assert logger.fields("stopped")


class PurgedStore:
    """Purges what it is told to, after a first try that fails."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    async def purge(self, before: float, /) -> int:
        self.calls.append(before)
        if len(self.calls) == 1:
            raise StoreUnavailable("not now")
        return 3 if len(self.calls) == 2 else 0

    async def keep(self, _name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        return value


async def test_expired_results_are_deleted_again_and_again_and_a_store_that_is_away_is_asked_later(settings):
    clock, logger, store = ManualClock(), RecordingLogger(), PurgedStore()
    lifetime = HOUR
    settings = replace(settings, worker=replace(settings.worker, result_ttl=lifetime))
    service: Any = type("Service", (), {"store": store, "settings": settings})()
    purging = asyncio.create_task(serve._purge(service, clock, logger))
    await clock.advance(lifetime - 1)
    assert store.calls == [], "nothing can be that old"
    await clock.advance(1 + 2 * serve.PURGE_INTERVAL)
    purging.cancel()
    assert len(store.calls) == 3
    assert clock.now() - lifetime - 2 * serve.PURGE_INTERVAL <= store.calls[2] <= clock.now() - lifetime
    assert logger.lines == [("info", "expired results deleted", {"count": 3})]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_clock_that_jumps_deletes_nothing_that_was_not_there_so_long(settings, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(serve, "PURGE_INTERVAL", HOUR)
    settings = replace(settings, worker=replace(settings.worker, result_ttl=7 * DAY))
    clock = ManualClock()

    async def opened() -> Any:
        return MemoryStore(clock) if kind == "memory" else await SqliteStore.open(tmp_path / "q.db", clock=clock)

    async def end(name: str) -> None:
        await store.enqueue(record(clock, name))
        await store.cancel(("client:one", name))

    async def looked() -> None:
        async with asyncio.timeout(90):
            while not clock.sleepers:
                await asyncio.sleep(0)

    async def run(seconds: float) -> set[str]:
        """Ids that are there after a service has run for so long."""
        service: Any = type("Service", (), {"store": store, "settings": settings})()
        purging = asyncio.create_task(serve._purge(service, clock, RecordingLogger()))
        for _ in range(int(seconds // HOUR)):
            await looked()
            await clock.advance(HOUR)
        await looked()
        purging.cancel()
        return {one.id for one in (await store.list(limit=1000)).requests}

    store = await opened()
    await end("first")
    assert await run(DAY) == {"first"}
    clock.jump(8 * DAY)
    await end("second")
    assert await run(DAY) == {"first", "second"}
    if kind == "sqlite":
        await store.close()
        clock.jump(8 * DAY)
        store = await opened()
    assert await run(DAY) == {"first", "second"}, "at a start"
    clock.jump(-20 * DAY)
    await end("third")
    assert await run(HOUR) == {"first", "second", "third"}
    clock.jump(20 * DAY)
    assert await run(6 * DAY) == {"first", "second", "third"}
    assert await run(2 * DAY) == set()
    await store.close()


def test_the_address_is_told_as_a_client_writes_it(settings, tmp_path):
    assert serve._url(settings, 80) == "ws://127.0.0.1:80/ws"
    over_tls = ServerSettings(host="::1", path="/x", tls=TlsSettings(cert=tmp_path, key=tmp_path))
    assert serve._url(replace(settings, server=over_tls), 443) == "wss://[::1]:443/x"


def test_a_platform_without_uvloop_gets_pythons_own_loop(monkeypatch):
    assert loop_factory() is not None
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is None


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


def test_a_handler_that_swallows_its_cancellation_does_not_keep_the_process_alive(monkeypatch):
    monkeypatch.setattr(serve, "END_GRACE", 0.01)
    loop = asyncio.new_event_loop()
    cancelled = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append("once more")

    async def begin() -> Any:
        task = asyncio.create_task(stubborn())
        await settle()
        return task

    left = loop.run_until_complete(begin())
    serve.end(loop)
    assert loop.is_closed()
    assert cancelled == ["once more"]
    assert not left.done()
    # What the process's end does away with.
    left._log_destroy_pending = False
