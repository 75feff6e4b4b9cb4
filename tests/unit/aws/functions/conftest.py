"""A house on AWS's tables: the store and the subscriptions on ministack, connections and a queue that only remember."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from streamer.contracts.handlers import BaseHandler
from streamer.core.errors import ConnectionGone
from streamer.engine.connection_ends import ConnectionEnds, left_to_sweep
from streamer.engine.delivery import Delivery
from streamer.engine.delivery_tracker import DeliveryTracker
from streamer.engine.pipeline import compose
from streamer.engine.routes import Route
from streamer.engine.sent_outcomes import SentOutcomes
from streamer.engine.shared_subscribers import SharedSubscribers
from streamer.engine.worker import Worker
from streamer.testing import ManualClock, MockConnectionManager, RecordingLogger
from streamer_aws.connections.rows import ConnectionRows
from streamer_aws.connections.subscriptions import SubscriptionRows
from streamer_aws.connections.table import connections_definition, subscriptions_definition
from streamer_aws.dynamodb.calls import Calls
from streamer_aws.dynamodb.clients import connect
from streamer_aws.store.store import DynamoStore
from streamer_aws.store.table import definition

numbers = itertools.count()


class Connections(MockConnectionManager):
    """Part of what API Gateway's connections offer. Nothing takes time, and only those named in `gone` are gone."""

    def __init__(self, connected: ConnectionRows, subscriptions: SubscriptionRows) -> None:
        super().__init__()
        self.connected = connected
        self.subscriptions = subscriptions
        self.gone: set[str] = set()
        self.closed: list[str] = []

    async def send(self, connection_id: str, message: Any, /, *, replaces: Any = None, final: bool = False) -> None:
        if connection_id in self.gone:
            raise ConnectionGone("it is gone")
        await super().send(connection_id, message, replaces=replaces, final=final)

    async def close(self, connection_id: str, /) -> None:
        self.closed.append(connection_id)


class Waker:
    """Remembers whom it was to wake. Nobody wakes."""

    url = "https://sqs.example/queue"

    def __init__(self) -> None:
        self.woken: list[Any] = []
        self.waiting = 0

    async def wake(self, key: Any, action: str, after: float = 0.0) -> None:
        self.woken.append((key, action, after))

    async def wake_all(self, waiting: Any) -> int:
        self.woken += [(key, action, 0.0) for key, action in waiting]
        return len(waiting)

    async def backlog(self) -> int:
        return self.waiting


class Function(BaseHandler):
    """A handler of a test's function."""

    def __init__(self, function: Any) -> None:
        super().__init__(estimated_duration=1.0)
        self.function = function

    async def process(self, request: Any, /) -> Any:
        return await self.function(request)


class House:
    """Store, subscriptions, worker and delivery as a sandbox has them."""

    def __init__(self, client: Any, prefix: str) -> None:
        self.clock = ManualClock()
        self.log = RecordingLogger()
        self.store = DynamoStore(client, f"{prefix}requests", clock=self.clock, ended_undelivered=True)
        self.subscriptions = SubscriptionRows(Calls(client, f"{prefix}subscriptions", self.clock), self.clock)
        self.rows = ConnectionRows(Calls(client, f"{prefix}connections", self.clock), self.clock)
        self.connections = Connections(self.rows, self.subscriptions)
        self.delivery = Delivery(
            self.connections,
            self.log,
            subscribers=SharedSubscribers(
                self.subscriptions, ConnectionEnds(self.subscriptions, left_to_sweep, self.log), self.log
            ),
            queue=self.store,
            tracker=DeliveryTracker(self.store, clock=self.clock, logger=self.log),
            sent=SentOutcomes(self.rows, self.store.mark_sent, clock=self.clock, logger=self.log),
        )
        self.routes: dict[str, Route] = {}
        self.waker = Waker()
        self.worker = Worker(
            self.store,
            self.routes,
            self.delivery,
            clock=self.clock,
            logger=self.log,
            name="w1",
            remote=True,
        )

    def declare(self, name: str, function: Any, **options: Any) -> None:
        handler = Function(function)
        estimate = options.pop("estimate", 1.0)
        self.routes[name] = Route(
            name=name, handler=handler, pipeline=compose(handler, ()), estimate=estimate, **options
        )

    def messages(self, connection_id: str = "c1") -> list[str]:
        return [message["type"] for message in self.connections.get_messages(connection_id)]


@pytest.fixture
async def dynamodb(ministack):
    async with connect("eu-central-1", ministack) as client:
        yield client


@pytest.fixture
async def house(dynamodb):
    prefix = f"house{next(numbers)}-"
    made = [
        definition(f"{prefix}requests"),
        connections_definition(f"{prefix}connections"),
        subscriptions_definition(f"{prefix}subscriptions"),
    ]
    for one in made:
        await dynamodb.create_table(**one)
    yield House(dynamodb, prefix)
    for one in made:
        await dynamodb.delete_table(TableName=one["TableName"])
