"""Both stores against the suite that outsiders' stores take too."""

from __future__ import annotations

import pytest

from streamer.stores.memory import MemoryStore
from streamer.stores.sqlite import SqliteStore
from streamer.testing import StoreConformance


class TestMemory(StoreConformance):
    @pytest.fixture
    async def store(self, clock):
        store = MemoryStore(clock, self.max_queued)
        yield store
        await store.close()


@pytest.mark.service
class TestSqlite(StoreConformance):
    @pytest.fixture
    async def store(self, clock, tmp_path):
        store = await SqliteStore.open(tmp_path / "queue.db", clock=clock, max_queued=self.max_queued)
        yield store
        await store.close()
