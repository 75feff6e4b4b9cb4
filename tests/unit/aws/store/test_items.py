"""Items, and the keys that sort them. Without any DynamoDB."""

from __future__ import annotations

import msgspec
import pytest

from streamer.core.attempts import Attempt, Outcome
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.core.records import RequestRecord, Status
from streamer_aws.dynamodb.values import micros, number
from streamer_aws.store.items import (
    Layout,
    Stored,
    gone,
    line_of,
    ready,
    shard_of,
    size,
    timed,
    to_item,
    to_stored,
)
from streamer_aws.store.limits import lightened

LAYOUT = Layout(shards=4, retention=60.0)
PLAIN = RequestRecord(owner="o", id="i", action="a", created_at=10.5, updated_at=10.5, due_at=10.5)
FULL = RequestRecord(
    owner="o",
    id="i",
    action="a",
    payload=b"",
    metadata={"k": "v"},
    connection_id="c",
    created_at=1767225600.1234567,
    max_attempts=5,
    priority=-3,
    principal=Principal(user_id="u", tenant_id="t", permissions=frozenset({"p"})),
    expires_at=1767225700.1,
    status=Status.FAILED,
    due_at=None,
    attempts=2,
    fence=7,
    worker="w",
    percentage=0.1 + 0.2,
    message="m",
    progress_metadata=b"{}",
    seq=2**52,
    result=b"1",
    error=ErrorBody("E", "e", retryable=True, details={"n": [1]}),
    updated_at=1767225601.0,
    started_at=1767225600.5,
    finished_at=1767225601.0,
    history=(Attempt(fence=1, worker="w", started_at=1.0, ended_at=2.0, outcome=Outcome.LOST),),
    delivered_at=1767225602.0,
)


@pytest.mark.parametrize("record", [PLAIN, FULL])
def test_a_record_comes_back_from_its_item_as_it_was(record):
    stored = Stored(record, 17, "v1")
    assert to_stored(to_item(stored, LAYOUT)) == stored


@pytest.mark.parametrize(
    ("changes", "lane", "there"),
    [
        ({}, "ready", {"undelivered", "listing"}),
        ({"expires_at": 20.0}, "ready", {"undelivered", "listing", "expiry"}),
        ({"status": Status.PROCESSING, "expires_at": 20.0}, "timed", {"undelivered", "listing"}),
        ({"status": Status.RETRYING, "expires_at": 20.0}, "timed", {"undelivered", "listing", "expiry"}),
        (
            {"status": Status.COMPLETED, "due_at": None, "finished_at": 11.0},
            "ended",
            {"undelivered", "listing", "gone_at"},
        ),
        ({"status": Status.FAILED, "due_at": None, "delivered_at": 12.0}, "ended", {"listing", "gone_at"}),
    ],
)
def test_a_record_stands_in_the_indexes_where_its_state_belongs(changes, lane, there):
    item = to_item(Stored(msgspec.structs.replace(PLAIN, **changes), 1, "v"), LAYOUT)
    assert item["lane"]["S"] == f"{lane}#{shard_of('o', 'i', 4)}"
    assert {"undelivered", "listing", "expiry", "gone_at"} & set(item) == there


def test_an_ended_record_is_gone_after_its_time_in_whole_seconds():
    record = msgspec.structs.replace(PLAIN, status=Status.CANCELLED, due_at=None, finished_at=100.2)
    item = to_item(Stored(record, 1, "v"), LAYOUT)
    assert item["gone_at"] == {"N": "161"}
    assert not gone(item, 160.9)
    assert gone(item, 161.0)
    assert not gone(to_item(Stored(PLAIN, 1, "v"), LAYOUT), 1e9)


def test_places_sort_by_priority_then_line_then_age():
    def place(number, **changes):
        return ready(msgspec.structs.replace(PLAIN, **changes), number, "v")

    assert place(9, priority=1) < place(1) < place(2) < place(1, priority=-1)
    assert place(1)[:-24] == place(2)[:-24]
    assert len({line_of(0, *names) for names in (("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""))}) == 3
    assert len(place(1, owner="x" * 5000, action="y" * 5000)) < 1024


def test_times_sort_as_text():
    assert timed(9.0, "v") < timed(10.0, "a") < timed(10.000001, "a")
    assert micros(-5.0) == 0


def test_a_number_too_near_to_nothing_is_nothing():
    assert number(1e-300) == {"N": "0"}
    assert number(1e-6) == {"N": "1e-06"}


def test_all_shards_are_used_and_one_is_kept_for_life():
    shards = [shard_of("o", f"r{n}", 4) for n in range(200)]
    assert set(shards) == {0, 1, 2, 3}
    assert shard_of("o", "r1", 4) == shards[1]


def test_the_size_of_an_item_is_that_of_its_names_and_values():
    assert size({"ab": {"S": "ü"}, "c": {"B": b"123"}, "n": {"N": "1"}}) == 2 + 2 + 1 + 3 + 1 + 21


def test_a_record_without_its_memories_keeps_what_it_needs_to_go_on():
    light = lightened(msgspec.structs.replace(FULL, error=ErrorBody("E", "e" * 5000, details={"n": 1})))
    assert (light.error.code, len(light.error.message), light.error.details) == ("E", 1000, {})
    assert light.history[0].outcome is Outcome.LOST
    assert (light.payload, light.result, light.fence) == (FULL.payload, FULL.result, FULL.fence)
    assert lightened(PLAIN) == PLAIN
