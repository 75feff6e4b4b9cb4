"""Tables on the emulators, clients of them, and what may happen to calls on their way."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from streamer.core.clock import SystemClock
from streamer.testing import ManualClock
from streamer_aws.dynamodb import clients
from streamer_aws.dynamodb.clients import connect
from streamer_aws.store.store import DynamoStore
from streamer_aws.store.table import definition

REGION = "eu-central-1"
numbers = itertools.count()


class HastyClock(ManualClock):
    """Time that passes by itself while somebody sleeps. Unlike life, nobody else does anything meanwhile."""

    def __init__(self):
        super().__init__()
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self._now += seconds
        self._monotonic += seconds


class Wire:
    """Stands between a store and a client. It counts calls, and spoils those that a test names.

    Unlike DynamoDB it throttles whole calls and nothing that was half done, as a proxy in front of it would.
    """

    def __init__(self, client):
        self.client = client
        self.calls = Counter()
        self.refuse = {}
        """By operation: errors that its next calls bring, before they reach the table."""
        self.lose = Counter()
        """By operation: how many answers are lost after the table has done what it was asked."""

    def __getattr__(self, operation):
        async def call(**parameters):
            self.calls[operation] += 1
            if self.refuse.get(operation):
                raise self.refuse[operation].pop(0)
            answer = await getattr(self.client, operation)(**parameters)
            if self.lose[operation] > 0:
                self.lose[operation] -= 1
                raise ReadTimeoutError(endpoint_url="https://dynamodb")
            return answer

        return call


def client_error(code, message="", status=400):
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutItem"
    )


async def new_table(client) -> str:
    """An empty table. Without its TTL: the emulator deletes by the machine's clock, and tests live in another time."""
    name = f"requests-{next(numbers)}"
    await client.create_table(**definition(name))
    for _ in range(100):
        if (await client.describe_table(TableName=name))["Table"]["TableStatus"] == "ACTIVE":
            return name
        await SystemClock.sleep(0.05)
    raise AssertionError("the table is not ready")


@pytest.fixture(scope="session", autouse=True)
def one_session():
    """The description of the API is read once, not by each of some hundred clients."""
    with pytest.MonkeyPatch.context() as patch:
        session = clients.get_session()
        patch.setattr(clients, "get_session", lambda: session)
        yield


@pytest.fixture
async def connected():
    """Connects to an emulator."""
    async with contextlib.AsyncExitStack() as stack:
        yield lambda url, service="dynamodb": stack.enter_async_context(connect(REGION, url, service))


@pytest.fixture
async def client(ministack, connected):
    return await connected(ministack)


@pytest.fixture
async def s3(ministack, connected):
    """A client of S3, with a bucket `large`."""
    client = await connected(ministack, "s3")
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        await client.create_bucket(Bucket="large", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


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


@pytest.fixture(scope="session")
def error_of():
    """An answer of DynamoDB that is an error."""
    return client_error


@pytest.fixture
def clock():
    return HastyClock()


@pytest.fixture
def wire(client):
    return Wire(client)


@pytest.fixture
async def store(wire, table, clock):
    store = DynamoStore(wire, table, clock=clock, max_queued=1000)
    yield store
    await store.close()


@pytest.fixture
def wired():
    """Puts a wire before a client."""
    return Wire
