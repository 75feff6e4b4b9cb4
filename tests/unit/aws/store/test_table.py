"""What a table must have. Without any DynamoDB."""

from __future__ import annotations

import copy

import pytest

from streamer_aws.dynamodb.definitions import differences
from streamer_aws.store.table import definition

TTL = {"TimeToLiveStatus": "ENABLED", "AttributeName": "gone_at"}


def described():
    return {**copy.deepcopy(definition("requests")), "TableStatus": "ACTIVE"}


def test_a_table_as_it_is_made_is_as_it_must_be():
    assert differences(described(), TTL, definition("requests")) == []
    assert described()["BillingMode"] == "PAY_PER_REQUEST"


def without(name):
    def change(table):
        table["GlobalSecondaryIndexes"] = [one for one in table["GlobalSecondaryIndexes"] if one["IndexName"] != name]

    return change


def other_keys(table):
    table["GlobalSecondaryIndexes"][0]["KeySchema"][1]["AttributeName"] = "other"


def fewer_attributes(table):
    table["GlobalSecondaryIndexes"][0]["Projection"]["NonKeyAttributes"].remove("fence")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("lanes"), ["the index 'lanes' is missing"]),
        (other_keys, ["the index 'lanes' has other keys"]),
        (fewer_attributes, ["the index 'lanes' lacks the attributes fence"]),
        (lambda table: table.pop("StreamSpecification"), ["its stream is disabled"]),
        (lambda table: table.update(TableStatus="CREATING"), ["its status is CREATING, not ACTIVE"]),
        (lambda table: table["KeySchema"].pop(), ["its key is not (owner, id)"]),
    ],
)
def test_each_difference_is_told(change, says):
    table = described()
    change(table)
    found = differences(table, TTL, definition("requests"))
    assert len(found) == len(says)
    assert all(one.startswith(text) for one, text in zip(found, says, strict=True))


def test_an_index_may_hold_more_than_it_must():
    table = described()
    table["GlobalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "ALL"}
    assert differences(table, TTL, definition("requests")) == []


@pytest.mark.parametrize("ttl", [{}, {**TTL, "AttributeName": "other"}, {"TimeToLiveStatus": "DISABLED"}])
def test_a_table_without_its_ttl_says_what_that_costs(ttl):
    assert differences(described(), ttl, definition("requests")) == [
        "its TTL is not on the attribute 'gone_at': ended requests are never deleted, and are billed"
    ]
