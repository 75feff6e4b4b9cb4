"""A store of a plugin: what it must not raise becomes a StoreError."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import LeaseLost, StoreError
from streamer.stores.boundary import StoreBoundary


class Panic(BaseException):
    """What a Rust extension raises."""


class Plugin:
    size = 3

    def __init__(self, problem):
        self.problem = problem
        self.calls = 0

    async def get(self, key, *, fresh=False):
        self.calls += 1
        if self.problem is not None:
            raise self.problem
        return key, fresh

    async def failed(self):
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "problem", [Panic("boom"), ValueError("boom"), SystemExit("boom"), asyncio.CancelledError("boom")]
)
async def test_what_a_store_must_not_raise_is_a_store_error(problem):
    store = StoreBoundary(Plugin(problem), "lab.store")
    with pytest.raises(StoreError, match=rf"the store 'lab.store' failed: {type(problem).__name__}: boom"):
        await store.get("key")


async def test_what_it_may_raise_passes_as_it_is():
    store = StoreBoundary(Plugin(LeaseLost("taken")), "lab.store")
    with pytest.raises(LeaseLost, match="taken"):
        await store.get("key")


async def test_calls_and_attributes_go_through():
    plugin = Plugin(None)
    store = StoreBoundary(plugin, "lab.store")
    assert await store.get("key", fresh=True) == ("key", True)
    assert await store.get("key") == ("key", False)
    assert (plugin.calls, store.size) == (2, 3)
    assert not hasattr(store, "take")


async def test_a_call_that_is_cancelled_is_cancelled():
    task = asyncio.create_task(StoreBoundary(Plugin(None), "lab.store").failed())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
