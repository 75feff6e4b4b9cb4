"""The storage behind the memory store against the suite that outsiders' storages take too."""

from __future__ import annotations

import pytest

from streamer.stores.memory import MemoryStorage
from streamer.testing import StorageConformance


class TestMemory(StorageConformance):
    @pytest.fixture
    def storage(self):
        return MemoryStorage()
