"""Random events against each store and the transition table."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from streamer.stores.memory import MemoryStore
from streamer.stores.sqlite import SqliteStore
from streamer.testing import store_machine

pytestmark = pytest.mark.no_cover  # many examples of what other tests cover; traced, they take three times as long


async def open_memory(clock):
    return MemoryStore(clock)


async def open_sqlite(clock):
    folder = Path(tempfile.mkdtemp(prefix="streamer-property-"))
    store = await SqliteStore.open(folder / "queue.db", clock=clock)
    closing = store.close

    async def close():
        await closing()
        shutil.rmtree(folder)

    store.close = close
    return store


TestMemory = store_machine(open_memory).TestCase
TestMemory.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)

TestSqlite = store_machine(open_sqlite).TestCase
TestSqlite.settings = settings(
    max_examples=6,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # Without shrinking, which takes minutes where each try starts a process; what was found is told as it is.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
TestSqlite.pytestmark = [pytest.mark.service]


def test_a_store_that_breaks_the_table_is_found_out():
    class Forgetful(MemoryStore):
        async def complete(self, claim, /, *, seq, result, progress=None):
            await super().complete(claim, seq=seq, result=b"something else")

    async def open_forgetful(clock):
        return Forgetful(clock)

    machine = store_machine(open_forgetful)
    case = machine.TestCase
    case.settings = settings(
        max_examples=200, stateful_step_count=40, deadline=None, database=None, phases=[Phase.generate]
    )
    with pytest.raises(AssertionError):
        case().runTest()
