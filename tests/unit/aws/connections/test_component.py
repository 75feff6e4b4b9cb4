"""The connections as the file declares them."""

from __future__ import annotations

import pytest

from streamer.contracts.components import BuildContext
from streamer_aws.connections.component import ENDPOINT_VARIABLE, component, definitions
from streamer_aws.dynamodb import tables


@pytest.fixture
def context(tmp_path, clock):
    return BuildContext(base_dir=tmp_path, clock=clock)


async def test_the_tables_are_those_of_the_prefix(client, clock):
    made = definitions({"prefix": "mine-"})
    assert [one["TableName"] for one in made] == ["mine-connections", "mine-subscriptions"]
    for one in made:
        await tables.create(client, one, clock)
        assert await tables.check(client, one, clock) == []
        await tables.delete(client, one["TableName"], clock)
    assert [one["TableName"] for one in definitions({})] == ["streamer-connections", "streamer-subscriptions"]


@pytest.mark.parametrize(
    ("options", "variable", "endpoint"),
    [
        ({}, None, None),
        ({}, "https://from.environment/live", "https://from.environment/live"),
        ({"endpoint": "https://from.file/live"}, "https://from.environment/live", "https://from.file/live"),
    ],
)
async def test_the_file_says_where_to_post_or_else_the_environment(
    ministack, context, monkeypatch, options, variable, endpoint
):
    if variable is None:
        monkeypatch.delenv(ENDPOINT_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(ENDPOINT_VARIABLE, variable)
    options = {"region": "eu-central-1", "endpoint_url": ministack, "progress_interval": "3s", **options}
    async with component().factory(options, context) as connections:
        assert connections._endpoint == endpoint
        assert connections.progress_interval == 3.0
