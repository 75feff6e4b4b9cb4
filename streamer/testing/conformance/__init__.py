"""The suite that every store must pass.

Outside this project, in a plugin's own tests::

    import pytest
    from streamer.testing import ManualClock, StoreConformance

    class TestMyStore(StoreConformance):
        @pytest.fixture
        async def store(self, clock, tmp_path):
            store = await MyStore.open(tmp_path / "queue", clock=clock, max_queued=self.max_queued)
            yield store
            await store.close()

It needs pytest and pytest-asyncio in auto mode. `max_queued` is small, so that a full queue can be tested.
"""

from __future__ import annotations

import asyncio

import pytest

from streamer.contracts.stores import RequestQueue
from streamer.core.errors import StoreUnavailable
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.claims import Claims
from streamer.testing.conformance.deliveries import Deliveries
from streamer.testing.conformance.ends import Ends
from streamer.testing.conformance.enqueue import Enqueues
from streamer.testing.conformance.fairness import Fairness
from streamer.testing.conformance.history import History
from streamer.testing.conformance.leases import Leases
from streamer.testing.conformance.operators import Operators
from streamer.testing.conformance.queries import Queries
from streamer.testing.conformance.records import LEASE, lease_of, record
from streamer.testing.conformance.times import Times

__all__ = ["StoreConformance", "lease_of", "record"]


class StoreConformance(Enqueues, Claims, Fairness, Times, Leases, Ends, History, Operators, Deliveries, Queries):
    """The promises of `RequestQueue`, one test each. Subclass it and add a `store` fixture."""

    async def test_a_closed_store_refuses_every_call(self, store: RequestQueue, clock: ManualClock) -> None:
        await store.close()
        with pytest.raises(StoreUnavailable):
            await store.enqueue(record(clock))
        with pytest.raises(StoreUnavailable):
            await store.claim("w1", 1, LEASE)
        await store.close()

    async def test_a_store_that_works_has_not_failed(self, store: RequestQueue) -> None:
        failed = asyncio.ensure_future(store.failed())
        await store.counts()
        assert not failed.done()
        failed.cancel()
