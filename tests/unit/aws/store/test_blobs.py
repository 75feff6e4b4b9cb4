"""What is too large for an item, in a bucket."""

from __future__ import annotations

import msgspec
import pytest

from streamer.contracts.stores import Existing
from streamer.core.errors import VALIDATION_ERROR, Error, LeaseLost, StoreUnavailable
from streamer.core.messages import ErrorBody
from streamer.core.records import Status
from streamer.core.summaries import summarize
from streamer.testing.conformance import lease_of, record
from streamer_aws.store.store import DynamoStore

LEASE = 30.0
KEY = ("client:one", "r1")
LARGE = b"1" * 1_000_000


@pytest.fixture
def s3_wire(s3, wired):
    return wired(s3)


@pytest.fixture
async def store(wire, table, clock, s3_wire):
    store = DynamoStore(wire, table, clock=clock, bucket="large", s3=s3_wire)
    yield store
    await store.close()


async def empty(s3):
    for found in (await s3.list_objects_v2(Bucket="large")).get("Contents", []):
        await s3.delete_object(Bucket="large", Key=found["Key"])


async def test_a_large_payload_is_whole_wherever_it_is_read(store, clock, wire):
    given = record(clock, payload=LARGE)
    assert await store.enqueue(given) is None
    assert await store.enqueue(given) == Existing(summarize(given), same=True)
    assert await store.get(KEY) == given
    assert await store.find("r1") == [summarize(given)]
    assert (await store.list()).requests == [summarize(given)]
    assert await store.undelivered(KEY[0]) == [KEY]
    (one,) = (await store.claim("w1", 1, LEASE)).records
    assert one.payload == LARGE
    clock.jump(LEASE)
    (again,) = (await store.claim("w2", 1, LEASE)).records
    assert (again.payload, again.fence) == (LARGE, 2)
    assert (await store.cancel(KEY)).payload == LARGE
    assert (await store.requeue(KEY)).payload == LARGE


async def test_a_small_one_asks_nothing_of_the_bucket(store, clock, s3_wire):
    await store.enqueue(record(clock))
    (one,) = (await store.claim("w1", 1, LEASE)).records
    await store.complete(lease_of(one), seq=1, result=b"1")
    await store.get(KEY)
    assert not s3_wire.calls


@pytest.mark.parametrize(("payload", "result"), [(b"1", LARGE), (b"1" * 250_000, b"2" * 250_000), (LARGE, LARGE)])
async def test_a_large_result_is_whole_and_written_once(store, clock, payload, result):
    await store.enqueue(record(clock, payload=payload))
    (one,) = (await store.claim("w1", 1, LEASE)).records
    for _ in range(2):
        await store.complete(lease_of(one), seq=1, result=result)
    found = await store.get(KEY)
    assert (found.status, found.result, found.payload) == (Status.COMPLETED, result, payload)
    with pytest.raises(LeaseLost):
        await store.complete(lease_of(one), seq=1, result=b"other")


async def test_an_end_without_a_result_leaves_the_payload_where_it_is(store, clock, s3_wire):
    await store.enqueue(record(clock, payload=LARGE))
    (one,) = (await store.claim("w1", 1, LEASE)).records
    s3_wire.calls.clear()
    await store.fail(lease_of(one), seq=1, error=ErrorBody("E", "e"))
    assert not s3_wire.calls
    assert (await store.get(KEY)).payload == LARGE


async def test_a_request_whose_payload_was_deleted_is_not_run_and_holds_nobody_up(store, clock, s3):
    await store.enqueue(record(clock, payload=LARGE, max_attempts=2))
    await empty(s3)
    await store.enqueue(record(clock, "r2"))
    assert [one.id for one in (await store.claim("w1", 5, LEASE)).records] == ["r2"]
    for _ in range(2):
        clock.jump(LEASE)
        claims = await store.claim("w1", 5, LEASE)
    assert "r1" in [one.id for one in claims.abandoned]
    with pytest.raises(StoreUnavailable, match="NoSuchKey"):
        await store.get(KEY)


async def test_a_bucket_that_is_not_there_acknowledges_nothing(wire, table, clock, s3):
    store = DynamoStore(wire, table, clock=clock, bucket="never-made", s3=s3)
    with pytest.raises(StoreUnavailable, match="S3 refuses.*'never-made'.*NoSuchBucket"):
        await store.enqueue(record(clock, payload=LARGE))
    assert not wire.calls["put_item"]


async def test_a_bucket_that_is_slow_is_asked_again(store, clock, s3_wire, error_of):
    s3_wire.refuse["put_object"] = [error_of("SlowDown", status=503)]
    assert await store.enqueue(record(clock, payload=LARGE)) is None
    assert s3_wire.calls["put_object"] == 2


async def test_what_was_put_away_is_not_lost_in_silence_without_the_bucket(store, clock, wire, table):
    await store.enqueue(record(clock, payload=LARGE))
    without = DynamoStore(wire, table, clock=clock)
    with pytest.raises(StoreUnavailable, match="set 'bucket'"):
        await without.get(KEY)


async def test_what_is_large_and_neither_payload_nor_result_is_refused(store, clock):
    given = msgspec.structs.replace(record(clock), metadata={"k": "v" * 400_000})
    with pytest.raises(Error) as refused:
        await store.enqueue(given)
    assert refused.value.code == VALIDATION_ERROR
