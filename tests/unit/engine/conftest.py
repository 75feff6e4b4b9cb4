"""A whole service without sockets: the memory store, a clock moved by hand, peers that collect."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from streamer.connections.local import LocalConnections
from streamer.contracts.handlers import BaseHandler
from streamer.core.messages import Request
from streamer.engine.adapters import RequestQueueAdapter
from streamer.engine.attempt_states import StopReason
from streamer.engine.codec import Codec
from streamer.engine.delivery import Delivery
from streamer.engine.delivery_tracker import DeliveryTracker
from streamer.engine.pipeline import compose
from streamer.engine.router import Router
from streamer.engine.routes import Mode, Route
from streamer.engine.service_actions import service_routes
from streamer.engine.subscriptions import LocalSubscriptions
from streamer.engine.validation import Validator
from streamer.engine.worker import Worker
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock, RecordingLogger
from streamer.testing.clock import settle


class CollectingPeer:
    """A connection that keeps what it is sent. Unlike a real one it never ends by itself."""

    post = None

    def __init__(self, name: str = "c1", owner: str = "client:one") -> None:
        self.id = name
        self.owner = owner
        self.principal = None
        self.address = ""
        self.running = 0
        self.refusals = 0
        self.caught_up: asyncio.Future[None] | None = None
        """Set by a test to make the client slow: what resolves once it has caught up."""
        self.messages: list[dict[str, Any]] = []

    def send(self, data: bytes, /) -> None:
        self.messages.append(json.loads(data))

    def refused(self, count: int = 1, /) -> None:
        self.refusals += count

    def send_latest(self, _name: str, data: bytes, _final: bool = False, /) -> None:
        self.send(data)

    def room(self) -> Any:
        return self.caught_up

    def of(self, request_id: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message.get("request_id") == request_id]

    def kinds(self, request_id: str) -> list[str]:
        return [message["type"] for message in self.of(request_id)]


class Function(BaseHandler):
    """A handler of a test's function."""

    def __init__(self, function: Any, estimate: float = 0.0) -> None:
        super().__init__(estimated_duration=estimate)
        self.function = function

    async def process(self, request: Request, /) -> Any:
        return await self.function(request)


class House:
    """Router, worker and store, wired as the runtime wires them: built when one of both is first asked for."""

    def __init__(self, **worker_options: Any) -> None:
        self.clock: Any = ManualClock()
        self.logger = RecordingLogger()
        self.store = MemoryStore(self.clock)
        self.connections = LocalConnections()
        self.subscriptions = LocalSubscriptions(self.clock)
        self.tracker = DeliveryTracker(self.store, clock=self.clock, logger=self.logger)
        self.delivery = Delivery(
            self.connections, self.logger, subscribers=self.subscriptions, queue=self.store, tracker=self.tracker
        )
        self.routes: dict[str, Route] = {}
        self.adapter = RequestQueueAdapter(self.store, self.routes)
        """What the router stores with; another is `router_options["store"]`."""
        self.worker_options = worker_options
        self.router_options: dict[str, Any] = {}
        self.expects = False
        """The store keeps the order of the calls: a claim is sent with a lone request."""
        self.service_routes: dict[str, Route] = {}
        """More of them than the runtime always has."""
        self._built: tuple[Router, Worker] | None = None
        self._run: asyncio.Task[None] | None = None

    def declare(self, name: str, function: Any, **options: Any) -> Route:
        middlewares = options.pop("middlewares", ())
        result_schema = options.pop("result_schema", None)
        handler = function if isinstance(function, BaseHandler) else Function(function)
        schema = options.pop("schema", None)
        route = Route(
            name=name,
            handler=handler,
            pipeline=compose(handler, middlewares, None if result_schema is None else Validator(result_schema)),
            validator=None if schema is None else Validator(schema),
            schema=schema,
            mode=Mode(options.pop("mode", "sync")),
            **options,
        )
        if self._built is None and name not in self.routes:
            self.routes[name] = route
        else:
            self.router.add(route)
        return route

    @property
    def router(self) -> Router:
        return self._build()[0]

    @property
    def worker(self) -> Worker:
        return self._build()[1]

    def _build(self) -> tuple[Router, Worker]:
        if self._built is None:
            options = {"name": "w1", "generator": random.Random(1), "progress_interval": 0.1, **self.worker_options}
            worker = Worker(
                self.store,
                self.routes,
                self.delivery,
                clock=self.clock,
                logger=self.logger,
                **options,
            )
            own = service_routes(self.routes, self.store, worker, self.delivery, clock=self.clock, logger=self.logger)
            sizes = {name: options[name] for name in ("max_result_size",) if name in options}
            router_options = {
                "store": self.adapter,
                "on_queued": worker.queued,
                "on_storing": worker.expect if self.expects else None,
                "max_running": 8,
                **sizes,
                **self.router_options,
            }
            router = Router(
                router_options.pop("store"),
                self.connections,
                clock=self.clock,
                logger=self.logger,
                delivery=self.delivery,
                routes=self.routes,
                service_routes={**own, **self.service_routes},
                **router_options,
            )
            self._built = router, worker
        return self._built

    def peer(self, name: str = "c1", owner: str = "client:one") -> CollectingPeer:
        peer = CollectingPeer(name, owner)
        self.connections.add(peer)
        return peer

    def send(self, peer: CollectingPeer, **message: Any) -> None:
        self.router.receive(peer, json.dumps(message).encode())

    async def start(self) -> None:
        self._run = asyncio.create_task(self.worker.run())
        await settle()

    async def settle(self) -> None:
        await settle()

    async def stop(self) -> None:
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)
        self.worker.stop(StopReason.RELEASE)
        await settle()

    def errors(self) -> list[str]:
        return [event for level, event, _ in self.logger.lines if level == "error"]


@pytest.fixture
async def house():
    made = House()
    yield made
    await made.stop()


@pytest.fixture
def make_house():
    return House


@pytest.fixture
def strict_codec():
    return Codec(strict=True)
