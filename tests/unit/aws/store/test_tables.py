"""Tables made, checked and deleted on an emulator."""

from __future__ import annotations

import pytest

from streamer.core.errors import StoreError, StoreUnavailable
from streamer.testing.conformance import record
from streamer_aws.dynamodb import tables
from streamer_aws.store.store import DynamoStore
from streamer_aws.store.table import definition


async def test_a_table_that_is_made_is_as_it_must_be_and_is_made_once(client, clock):
    assert await tables.check(client, definition("made"), clock) == [
        "the table does not exist; 'streamer backend create' creates it"
    ]
    assert await tables.create(client, definition("made"), clock) is True
    assert await tables.check(client, definition("made"), clock) == []
    assert await tables.create(client, definition("made"), clock) is False
    described = (await client.describe_table(TableName="made"))["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert described["StreamSpecification"]["StreamEnabled"]
    assert await tables.delete(client, "made", clock) is True
    assert await tables.delete(client, "made", clock) is False


async def test_another_table_of_that_name_is_told_apart(client, clock):
    await client.create_table(
        TableName="other",
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    found = await tables.check(client, definition("other"), clock)
    assert found[0] == "its key is not (owner, id); it is a different table, or of another version"
    assert len(found) == 9
    await client.delete_table(TableName="other")


def without(wanted, *indexes):
    """The definition of an earlier version, which had fewer indexes and no stream."""
    made = {key: value for key, value in wanted.items() if key != "StreamSpecification"}
    made["GlobalSecondaryIndexes"] = [
        one for one in wanted["GlobalSecondaryIndexes"] if one["IndexName"] not in indexes
    ]
    keyed = [made, *made["LocalSecondaryIndexes"], *made["GlobalSecondaryIndexes"]]
    used = {key["AttributeName"] for one in keyed for key in one["KeySchema"]}
    made["AttributeDefinitions"] = [one for one in wanted["AttributeDefinitions"] if one["AttributeName"] in used]
    return made


async def test_what_an_older_table_lacks_is_added(client, clock):
    wanted = definition("older")
    await client.create_table(**without(wanted, "listing", "expiries"))
    assert await tables.migrate(client, wanted, clock) == [
        "added the index 'expiries'",
        "added the index 'listing'",
        "enabled its stream",
        "set its TTL to the attribute 'gone_at'",
    ]
    assert await tables.check(client, wanted, clock) == []
    assert await tables.migrate(client, wanted, clock) == []
    await client.delete_table(TableName="older")


async def test_a_table_that_no_change_can_bring_up_to_date_is_named_with_the_reason(client, clock):
    with pytest.raises(StoreError, match="'gone' does not exist; 'streamer backend create' creates it"):
        await tables.migrate(client, definition("gone"), clock)
    other = definition("another")
    other["KeySchema"] = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "owner", "KeyType": "RANGE"}]
    del other["LocalSecondaryIndexes"]
    other["AttributeDefinitions"] = [
        one for one in other["AttributeDefinitions"] if one["AttributeName"] != "undelivered"
    ]
    await client.create_table(**other)
    with pytest.raises(StoreError, match="cannot upgrade the table 'another' in place: its key is not"):
        await tables.migrate(client, definition("another"), clock)
    await client.delete_table(TableName="another")


class Slow:
    """A table that takes its time to be made."""

    def __init__(self, error_of, ready_after):
        self.looks = 0
        self.made = False
        self.missing = error_of("ResourceNotFoundException")
        self.ready_after = ready_after

    async def describe_table(self, **parameters):
        if not self.made:
            raise self.missing
        self.looks += 1
        return {"Table": {"TableStatus": "ACTIVE" if self.looks > self.ready_after else "CREATING"}}

    async def create_table(self, **asked):
        self.made = True

    async def update_time_to_live(self, **parameters):
        assert self.looks > self.ready_after


async def test_a_table_is_waited_for(clock, error_of):
    assert await tables.create(Slow(error_of, 3), definition("slow"), clock)
    assert clock.slept == [tables.POLL] * 3


async def test_a_table_that_is_never_ready_is_given_up_after_five_minutes(clock, error_of):
    with pytest.raises(StoreUnavailable, match="backend check"):
        await tables.create(Slow(error_of, 10**6), definition("slow"), clock)
    assert sum(clock.slept) == 300


async def test_a_table_that_may_not_be_asked_for_says_so(clock, error_of):
    class Closed:
        async def describe_table(self, **parameters):
            raise error_of("AccessDeniedException", "not you")

    with pytest.raises(StoreUnavailable, match="not you"):
        await tables.check(Closed(), definition("closed"), clock)


async def test_a_store_without_its_table_says_how_it_is_made(client, clock):
    store = DynamoStore(client, "never-made", clock=clock)
    with pytest.raises(StoreUnavailable, match="'never-made'.*streamer backend create"):
        await store.enqueue(record(clock))
    with pytest.raises(StoreUnavailable, match="streamer backend create"):
        await store.claim("w1", 1, 30.0)
