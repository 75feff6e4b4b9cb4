"""The store against the suite that all stores take: the whole of it on one emulator, a sample on a second one.

The two know nothing of each other. What the second one adds is another reading of DynamoDB's conditions, updates,
transactions and queries; each kind of them occurs in the sample.
"""

from __future__ import annotations

import pytest

from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.core.records import Status
from streamer.testing import StoreConformance
from streamer.testing.conformance import record
from streamer.testing.conformance.claims import Claims
from streamer.testing.conformance.ends import Ends
from streamer.testing.conformance.enqueue import Enqueues
from streamer.testing.conformance.operators import Operators
from streamer_aws.store.store import DynamoStore


class TestMinistackWithABucket(StoreConformance):
    one_clock = False

    @pytest.fixture
    async def store(self, clock, client, table, s3):
        store = DynamoStore(client, table, clock=clock, max_queued=self.max_queued, bucket="large", s3=s3)
        yield store
        await store.close()


@pytest.mark.no_cover  # the other emulator's covers as much
class TestMoto(Enqueues, Claims, Ends, Operators):
    one_clock = False
    large_payload = 300 * 1024

    # It serves each call in a thread, and looks at a condition and makes the write without holding the item in between:
    # now and then two writers of one item both get through. Who wins a race is asked of the other emulator.
    test_only_one_of_32_workers_claims_a_request = None
    test_of_many_concurrent_enqueues_of_one_key_one_is_stored = None

    @pytest.fixture
    async def store(self, clock, moto, connected, empty_table):
        client = await connected(moto)
        store = DynamoStore(client, await empty_table(client), clock=clock, max_queued=self.max_queued)
        yield store
        await store.close()

    async def test_what_does_not_fit_into_an_item_is_refused_with_its_size(self, store, clock):
        with pytest.raises(Error, match="400 KB") as refused:
            await store.enqueue(record(clock, payload=b"1" * 400_000))
        assert refused.value.code == VALIDATION_ERROR
        assert refused.value.details["size"] > refused.value.details["limit"]
        assert (await store.counts())[Status.PENDING] == 0
