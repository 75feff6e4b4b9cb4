from __future__ import annotations

import asyncio

import pytest

from streamer.core.clock import SystemClock
from streamer.core.errors import StoreUnavailable
from streamer.stores.memory import MemoryStore
from streamer.testing.conformance import record


@pytest.mark.parametrize(
    "look", ["get", "find", "list", "counts", "undelivered", "purge", "mark_delivered", "cancel", "requeue"]
)
async def test_a_closed_store_answers_nothing(look):
    store = MemoryStore()
    await store.close()
    arguments = {
        "get": [("o", "r")], "find": ["r"], "undelivered": ["o"], "purge": [0.0], "mark_delivered": [[]],
        "cancel": [("o", "r")], "requeue": [("o", "r")],
    }  # fmt: skip
    with pytest.raises(StoreUnavailable, match="closed"):
        await getattr(store, look)(*arguments.get(look, []))


async def test_it_takes_the_machines_time_when_it_is_given_none():
    store = MemoryStore()
    await store.enqueue(record(SystemClock()))
    assert len((await store.claim("w", 1, 30.0)).records) == 1


async def test_memory_does_not_fail():
    failed = asyncio.ensure_future(MemoryStore().failed())
    await asyncio.sleep(0)
    assert not failed.done()
    failed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await failed
