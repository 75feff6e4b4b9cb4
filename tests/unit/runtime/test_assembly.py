from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import replace
from typing import Any

import pytest

from streamer.config.settings import (
    ActionSettings,
    BackendSettings,
    ComponentUse,
    RateLimitSettings,
    ServerSettings,
    ServiceSettings,
    Settings,
    WorkerSettings,
)
from streamer.connections.local import LocalConnections
from streamer.contracts.components import Component, Kind
from streamer.contracts.components import handler as handler_component
from streamer.contracts.handlers import HandlerFunc
from streamer.core.errors import StartError
from streamer.core.units import Rate
from streamer.handlers import pools
from streamer.middlewares.rate_limit import RateLimit
from streamer.runtime.assembly import open_service
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock, RecordingLogger
from streamer.testing.clock import settle


class Peer:
    id = "c1"
    owner = "client:one"
    principal = None
    address = ""
    post = None

    def __init__(self) -> None:
        self.running = 0
        self.sent: list[Any] = []

    def send(self, data: bytes, /) -> None:
        self.sent.append(json.loads(data))

    def refused(self, _count: int = 1, /) -> None: ...

    def send_latest(self, _name: str, data: bytes, _final: bool = False, /) -> None:
        self.send(data)

    def room(self) -> None: ...


class House:
    """Components that note when they are built and tidied up."""

    def __init__(self, folder: Any) -> None:
        self.events: list[str] = []
        self.clock = ManualClock()
        self.logger = RecordingLogger()
        self.settings = Settings(
            path=folder / "streamer.yaml",
            service=ServiceSettings(max_depth=3),
            server=ServerSettings(max_running=1),
            backends=BackendSettings(store=ComponentUse(name="memory"), connections=ComponentUse(name="local")),
            middleware=(ComponentUse(name="first"), ComponentUse(name="second")),
            actions={"echo": ActionSettings(name="echo", handler="echo")},
        )
        self.components = {
            (component.kind, component.full_name): component
            for component in (
                self.managed(Kind.STORE, "memory", lambda: MemoryStore(self.clock)),
                self.managed(Kind.CONNECTIONS, "local", LocalConnections),
                self.managed(Kind.AUTH, "none", lambda: None),
                self.managed(Kind.MIDDLEWARE, "first", lambda: self.noting("first")),
                self.managed(Kind.MIDDLEWARE, "second", lambda: self.noting("second")),
                self.managed(Kind.HANDLER, "echo", lambda: HandlerFunc(self.echo)),
                Component(kind=Kind.HANDLER, name="plain", factory=lambda options, _: HandlerFunc(self.echo)),
                Component(kind=Kind.HANDLER, name="broken", factory=self.refuse),
            )
        }

    def managed(self, kind: Kind, name: str, make: Any) -> Component:
        @contextlib.asynccontextmanager
        async def build(_options: Any, _context: Any) -> Any:
            self.events.append(f"+{name}")
            yield make()
            self.events.append(f"-{name}")

        return Component(kind=kind, name=name, factory=build)

    def noting(self, name: str) -> Any:
        def wrap(handler: Any) -> Any:
            async def process(request: Any) -> Any:
                self.events.append(name)
                return await handler.process(request)

            return HandlerFunc(process)

        return wrap

    async def echo(self, request: Any) -> Any:
        self.events.append("run")
        return request.payload

    def refuse(self, _options: Any, _context: Any) -> Any:
        raise StartError("the handler cannot start")

    def open(self, settings: Settings | None = None) -> Any:
        return open_service(settings or self.settings, self.components, logger=self.logger, clock=self.clock)


@pytest.fixture
def house(tmp_path: Any) -> House:
    return House(tmp_path)


async def test_everything_is_built_in_order_and_tidied_up_the_other_way_round(house):
    async with house.open():
        assert house.events == ["+memory", "+local", "+none", "+first", "+second", "+echo"]
        house.events.clear()
    assert house.events == ["-echo", "-second", "-first", "-none", "-local", "-memory"]


async def test_a_half_done_start_is_undone(house):
    actions = {**house.settings.actions, "more": ActionSettings(name="more", handler="broken")}
    with pytest.raises(StartError, match="cannot start"):
        async with house.open(replace(house.settings, actions=actions)):
            raise AssertionError
    # The managers hear of the failure by an exception, so only those that suppress nothing note their end.
    assert [event for event in house.events if event.startswith("+")][-1] == "+echo"


async def test_a_request_goes_through_the_middlewares_in_the_files_order(house):
    async with house.open() as service:
        house.events.clear()
        peer = Peer()
        service.router.receive(peer, b'{"action":"echo","id":"r","payload":1}')
        await settle()
        assert house.events == ["first", "second", "run"]
        assert peer.sent[0]["data"] == 1


async def test_the_files_limits_reach_the_router(house):
    async with house.open() as service:
        peer = Peer()
        service.router.receive(peer, b'{"action":"echo","payload":[[[]]]}')
        assert "more than 3 levels" in peer.sent[0]["error"]["message"]
        for _ in range(2):
            service.router.receive(peer, b'{"action":"echo"}')
        assert peer.sent[1]["error"]["code"] == "RATE_LIMITED"
        await settle()


async def test_a_queued_request_is_stored_with_the_actions_attempts_and_wakes_the_worker(house):
    retry = replace(ActionSettings(name="x", handler="x").retry, max_attempts=9)
    settings = replace(
        house.settings,
        actions={"slow": ActionSettings(name="slow", handler="plain", mode="async", retry=retry, priority=3)},
    )
    async with house.open(settings) as service:
        peer = Peer()
        service.connections.add(peer)
        service.router.receive(peer, b'{"action":"slow","id":"r","payload":7}')
        await settle()
        record = await service.store.get(("client:one", "r"))
        assert (record.max_attempts, record.priority) == (9, 3)
        assert await service.worker.step() == 1
        await settle()
        assert [message["type"] for message in peer.sent] == ["acknowledgment", "complete"]
        record = await service.store.get(("client:one", "r"))
        assert record.worker.endswith(f":{os.getpid()}")


async def test_an_action_may_have_a_rate_limit_of_its_own(house):
    limited = ActionSettings(
        name="limited", handler="plain", rate_limit=RateLimitSettings(limit=Rate(1, 60.0), burst=2, per="connection")
    )
    settings = replace(house.settings, actions={**house.settings.actions, "limited": limited})
    async with house.open(settings) as service:
        peer, other = Peer(), Peer()
        other.id = "c2"
        for one in (peer, peer, peer, other):
            service.router.receive(one, b'{"action":"limited"}')
            await settle()
        service.router.receive(peer, b'{"action":"echo"}')
        await settle()
        assert [message["type"] for message in peer.sent] == ["response", "response", "error", "response"]
        assert peer.sent[2]["error"]["details"] == {"retry_after_ms": 60_000}
        assert [message["type"] for message in other.sent] == ["response"]


async def test_a_rate_limit_stands_before_the_services_own_actions_too(house):
    def limit(name: str, per: str) -> None:
        made = RateLimit(Rate(1, 60.0), clock=house.clock, per=per)
        house.components[Kind.MIDDLEWARE, name] = house.managed(Kind.MIDDLEWARE, name, lambda: made)

    limit("per_action", "action")
    limit("per_connection", "connection")
    uses = (ComponentUse(name="per_action"), ComponentUse(name="per_connection"))
    async with house.open(replace(house.settings, middleware=uses)) as service:
        peer, other = Peer(), Peer()
        other.id = "c2"
        for one in (peer, peer, other):
            service.router.receive(one, b'{"action":"streamer.list"}')
            await settle()
        assert [message["type"] for message in peer.sent] == ["response", "error"]
        assert peer.sent[1]["error"]["code"] == "RATE_LIMITED"
        assert [message["type"] for message in other.sent] == ["response"]


async def test_the_services_own_actions_are_there(house):
    async with house.open() as service:
        peer = Peer()
        service.connections.add(peer)
        service.router.receive(peer, b'{"action":"streamer.actions"}')
        await settle()
        assert [action["action"] for action in peer.sent[0]["data"]["actions"]] == ["echo"]


async def test_time_is_the_machines_unless_told(house):
    async with open_service(house.settings, house.components, logger=house.logger) as service:
        assert service.router.clock.now() > 1_600_000_000


async def test_a_function_that_does_not_end_does_not_hold_the_end_up(house, monkeypatch):
    monkeypatch.setattr(pools, "THREAD_GRACE", 0.01)
    begun, go_on = threading.Event(), threading.Event()

    def stubborn(_request: Any) -> None:
        begun.set()
        go_on.wait(30)

    component = handler_component("stubborn", stubborn)
    house.components[Kind.HANDLER, "stubborn"] = component
    settings = replace(
        house.settings,
        middleware=(),
        worker=WorkerSettings(threads=1),
        actions={"stubborn": ActionSettings(name="stubborn", handler="stubborn", mode="sync")},
    )
    try:
        async with house.open(settings) as service:
            service.router.receive(Peer(), b'{"action":"stubborn"}')
            while not begun.is_set():
                await settle()
        assert not go_on.is_set()
    finally:
        go_on.set()
