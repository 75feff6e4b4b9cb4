"""The store as the file declares it, and its client."""

from __future__ import annotations

import pytest

from streamer.config.settings import Settings, WorkerSettings
from streamer.contracts.components import BuildContext, Kind
from streamer.core.errors import OVERLOADED, Error, StoreUnavailable
from streamer.testing.conformance import record
from streamer_aws.dynamodb import tables
from streamer_aws.dynamodb.clients import connect
from streamer_aws.store import component
from streamer_aws.store.table import definition


@pytest.fixture
def context(tmp_path, clock):
    settings = Settings(path=tmp_path / "streamer.yaml", worker=WorkerSettings(max_queued=1, result_ttl=50.0))
    return BuildContext(base_dir=tmp_path, clock=clock, settings=settings)


@pytest.fixture
async def options(ministack, region, client, clock):
    await tables.create(client, definition("mine-requests"), clock)
    yield {"prefix": "mine-", "region": region, "endpoint_url": ministack, "shards": 2}
    await tables.delete(client, "mine-requests", clock)


async def test_the_store_is_the_one_that_the_options_describe(options, context, clock):
    async with component.component().factory(options, context) as store:
        await store.enqueue(record(clock))
        with pytest.raises(Error) as refused:
            await store.enqueue(record(clock, "r2"))
        assert refused.value.code == OVERLOADED
        await store.cancel(("client:one", "r1"))
        clock.jump(51)
        assert await store.get(("client:one", "r1")) is None
    with pytest.raises(StoreUnavailable):
        await store.enqueue(record(clock))


async def test_without_settings_it_has_those_of_a_file_that_says_nothing(options, context, clock):
    bare = BuildContext(base_dir=context.base_dir, clock=clock)
    async with component.component().factory(options, bare) as store:
        for n in range(2):
            assert await store.enqueue(record(clock, f"r{n}")) is None


def test_what_it_is_and_the_tables_name():
    assert (component.component().kind, component.component().name) == (Kind.STORE, "dynamodb")
    assert component.table_name({}) == "streamer-requests"


async def test_without_a_region_it_says_where_one_is_written(aws_credentials):
    with pytest.raises(StoreUnavailable, match="'region'.*AWS_REGION"):
        async with connect():
            pass


async def test_the_region_of_the_environment_is_taken(aws_credentials, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    async with connect() as client:
        assert client.meta.region_name == "eu-west-1"


async def test_with_a_bucket_it_takes_what_is_large(options, context, clock, s3):
    async with component.component().factory({**options, "bucket": "large"}, context) as store:
        given = record(clock, payload=b"1" * 500_000)
        assert await store.enqueue(given) is None
        assert await store.get(given.key) == given


async def test_a_missing_table_is_told_by_the_start(options, context):
    with pytest.raises(StoreUnavailable, match="streamer backend create"):
        async with component.component().factory({**options, "prefix": "never-"}, context):
            pass
