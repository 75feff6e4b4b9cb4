"""Random events against the store and the transition table."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

from streamer.testing import store_machine
from streamer_aws.dynamodb.clients import connect
from streamer_aws.store.store import DynamoStore

pytestmark = pytest.mark.no_cover  # many examples of what other tests cover; traced, they take three times as long


@pytest.mark.parametrize("shards", [1, 3])
def test_random_events_leave_what_the_transition_table_says(ministack, empty_table, region, shards):
    async def open_store(clock):
        connection = connect(region, ministack)
        client = await connection.__aenter__()
        table = await empty_table(client)
        store = DynamoStore(client, table, clock=clock, shards=shards)
        closing = store.close

        async def close():
            await closing()
            await client.delete_table(TableName=table)
            await connection.__aexit__(None, None, None)

        store.close = close
        return store

    case = store_machine(open_store, one_clock=False).TestCase
    case.settings = settings(
        max_examples=3,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    case().runTest()
