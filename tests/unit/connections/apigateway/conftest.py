"""Tables of connections and subscriptions on an emulator."""

from __future__ import annotations

import itertools

import pytest

from streamer.connections.apigateway.followers import FollowerRows
from streamer.connections.apigateway.rows import ConnectionRows
from streamer.connections.apigateway.table import connections_definition, subscriptions_definition
from streamer.dynamodb.calls import Calls
from streamer.dynamodb.connecting import connect
from streamer.testing import ManualClock

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
def followers(client, names, clock):
    return FollowerRows(Calls(client, names[1], clock), clock)


@pytest.fixture
def new_followers(client, names, clock):
    """Others, as another process has them."""
    return lambda wire=None: FollowerRows(Calls(wire or client, names[1], clock), clock)
