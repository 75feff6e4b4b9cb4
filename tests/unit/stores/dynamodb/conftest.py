"""Tables on the emulators, and clients of them."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from streamer.core.clock import SystemClock
from streamer.stores.dynamodb.connecting import connect
from streamer.stores.dynamodb.table import definition

REGION = "eu-central-1"
numbers = itertools.count()


async def new_table(client) -> str:
    """An empty table. Without its TTL: the emulator deletes by the machine's clock, and tests live in another time."""
    name = f"requests-{next(numbers)}"
    await client.create_table(**definition(name))
    for _ in range(100):
        if (await client.describe_table(TableName=name))["Table"]["TableStatus"] == "ACTIVE":
            return name
        await SystemClock.sleep(0.05)
    raise AssertionError("the table is not ready")


@pytest.fixture
async def connected():
    """Connects to an emulator."""
    async with contextlib.AsyncExitStack() as stack:
        yield lambda url: stack.enter_async_context(connect(REGION, url))


@pytest.fixture
async def client(ministack, connected):
    return await connected(ministack)


@pytest.fixture
async def table(client):
    name = await new_table(client)
    yield name
    await client.delete_table(TableName=name)


@pytest.fixture(scope="session")
def region():
    return REGION


@pytest.fixture(scope="session")
def empty_table():
    """Makes an empty table of a client and returns its name."""
    return new_table
