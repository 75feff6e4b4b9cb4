"""API Gateway takes messages for clients that have gone: an outcome is delivered when its client has spoken since."""

from __future__ import annotations

import pytest

from streamer.config.settings import ServerSettings
from streamer.contracts.connections import ConnectionInfo
from streamer.core.errors import StoreUnavailable
from streamer.testing import websocket_event
from streamer.testing.conformance import lease_of, record
from streamer_aws.connections import rows
from streamer_aws.functions.authorizer import GatewayAuthorizer

OWNER = "client:one"
OUTCOME = b'{"success":true,"result":1}'


@pytest.fixture
async def connected(house):
    """A house whose deliveries are confirmed by messages, and a connection of the owner."""
    await house.rows.add("c1", ConnectionInfo(OWNER, None))
    return house


@pytest.fixture
def authorizer(connected):
    async def leave(_connection_id):
        return None

    return GatewayAuthorizer(
        connected.connections,
        None,
        ServerSettings(),
        clock=connected.clock,
        logger=connected.log,
        leave=leave,
        delivered=connected.store.mark_delivered,
    )


async def ended(house, *names):
    for name in names:
        await house.store.enqueue(record(house.clock, name))
        await house.subscriptions.add((OWNER, name), "c1")
        (taken,) = (await house.store.claim_one((OWNER, name), "w1", 30.0)).records
        await house.store.complete(lease_of(taken), seq=5, result=OUTCOME)
        await house.delivery.terminal((OWNER, name), lambda: b'{"type":"complete"}')


def message(house, connection="c1", ago=0.0):
    event = websocket_event("x")
    event["requestContext"] |= {
        "connectionId": connection,
        "requestTimeEpoch": int((house.clock.now() - ago) * 1000),
    }
    return event


async def delivered(house, name="r1"):
    return (await house.store.get((OWNER, name))).delivered_at is not None


async def test_an_outcome_that_was_posted_is_not_delivered_and_a_message_after_it_says_that_it_is(
    connected, authorizer
):
    await ended(connected, "r1", "r2")
    assert connected.messages() == ["complete", "complete"]
    assert not await delivered(connected)
    assert await connected.store.undelivered(OWNER) == [(OWNER, "r1"), (OWNER, "r2")]
    # Nobody tells it again by itself.
    assert await connected.store.ended_undelivered(connected.clock.now() - 100, connected.clock.now() + 1) == []
    connected.clock.jump(1)
    assert (await authorizer.identify(message(connected))).owner == OWNER
    assert await delivered(connected, "r1")
    assert await delivered(connected, "r2")
    assert await connected.store.undelivered(OWNER) == []
    assert (await connected.rows.get("c1")).unconfirmed == ()


async def test_a_message_from_before_it_confirms_nothing(connected, authorizer):
    await ended(connected, "r1")
    connected.clock.jump(10)
    await authorizer.identify(message(connected, ago=11))
    assert not await delivered(connected)
    assert len((await connected.rows.get("c1")).unconfirmed) == 1


async def test_a_message_over_another_connection_confirms_nothing(connected, authorizer):
    await ended(connected, "r1")
    await connected.rows.add("c2", ConnectionInfo(OWNER, None))
    connected.clock.jump(1)
    await authorizer.identify(message(connected, "c2"))
    assert not await delivered(connected)


async def test_a_client_that_resumes_is_told_again_until_it_says_what_it_has(connected):
    await ended(connected, "r1")
    key = (OWNER, "r1")
    await connected.rows.add("c2", ConnectionInfo(OWNER, None))
    await connected.delivery.send_ended(key, "c2", b'{"type":"complete"}')
    assert connected.messages("c2") == ["complete"]
    assert not await delivered(connected)
    connected.delivery.confirmed([key])
    await connected.delivery.settle()
    assert await delivered(connected)


async def test_a_table_that_fails_keeps_nobody_from_speaking(connected, authorizer):
    await ended(connected, "r1")
    connected.clock.jump(1)

    async def broken(*_arguments):
        raise StoreUnavailable("not now")

    connected.rows.confirm = broken
    assert await authorizer.identify(message(connected)) is not None
    assert connected.log.events("warning") == ["a delivery was not recorded"]


async def test_what_cannot_be_noted_as_sent_is_told_in_the_log(connected):
    async def broken(*_arguments):
        raise StoreUnavailable("not now")

    connected.rows.sent = broken
    await ended(connected, "r1")
    assert connected.log.events("warning") == ["a delivery was not recorded"]
    assert not await delivered(connected)


async def test_of_a_connection_that_says_nothing_only_so_much_is_noted(connected, monkeypatch):
    monkeypatch.setattr(rows, "MOST_UNCONFIRMED", 2)
    await ended(connected, *(f"r{n}" for n in range(4)))
    assert len((await connected.rows.get("c1")).unconfirmed) == 2
    await connected.rows.remove("c1")
    await connected.rows.sent("c1", "r9", connected.clock.now())
    await connected.rows.confirm("c1", ["x"])
    assert await connected.rows.get("c1") is None


async def test_a_message_costs_no_write_where_nothing_is_unconfirmed(connected, authorizer):
    connected.rows._calls._client = Reads(connected.rows._calls._client)
    await authorizer.identify(message(connected))
    assert connected.rows._calls._client.made == ["get_item"]


class Reads:
    def __init__(self, client):
        self._client = client
        self.made = []

    def __getattr__(self, operation):
        self.made.append(operation)
        return getattr(self._client, operation)
