"""Tables of connections and subscriptions on an emulator."""

from __future__ import annotations

import itertools

import pytest

from streamer.testing import ManualClock
from streamer_aws.connections.rows import ConnectionRows
from streamer_aws.connections.subscriptions import SubscriptionRows
from streamer_aws.connections.table import connections_definition, subscriptions_definition
from streamer_aws.dynamodb.calls import Calls
from streamer_aws.dynamodb.clients import connect

numbers = itertools.count()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def client(ministack):
    async with connect("eu-central-1", ministack) as client:
        yield client


@pytest.fixture
async def names(client):
    prefix = f"sockets{next(numbers)}-"
    made = [connections_definition(f"{prefix}connections"), subscriptions_definition(f"{prefix}subscriptions")]
    for one in made:
        await client.create_table(**one)
    yield [one["TableName"] for one in made]
    for one in made:
        await client.delete_table(TableName=one["TableName"])


@pytest.fixture
def rows(client, names, clock):
    return ConnectionRows(Calls(client, names[0], clock), clock)


@pytest.fixture
def subscriptions(client, names, clock):
    return SubscriptionRows(Calls(client, names[1], clock), clock)


@pytest.fixture
def new_subscriptions(client, names, clock):
    """Others, as another process has them."""
    return lambda wire=None: SubscriptionRows(Calls(wire or client, names[1], clock), clock)
