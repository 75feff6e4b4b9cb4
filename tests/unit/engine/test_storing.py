"""A request into the store, or what was there before it."""

from __future__ import annotations

import gc

import pytest

from streamer.contracts.stores import Existing
from streamer.core.errors import CONFLICT, Error, StoreUnavailable
from streamer.core.messages import Request
from streamer.core.summaries import summarize
from streamer.engine.adapters import RequestQueueAdapter
from streamer.engine.storing import store
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock
from streamer.testing.conformance import lease_of

KEY = ("o", "r")


def request(**changes):
    return Request(**{"id": "r", "action": "a", "owner": "o", "payload": [1], **changes})


@pytest.fixture
def memory():
    return MemoryStore(ManualClock())


@pytest.fixture
def queue(memory):
    return RequestQueueAdapter(memory)


async def end(memory):
    (claimed,) = (await memory.claim("w", 1, 30.0)).records
    await memory.complete(lease_of(claimed), seq=1, result=b'{"success":true,"result":1}')


async def test_the_same_again_brings_the_record_once_it_has_ended(memory, queue):
    assert await store(queue, request()) == (None, True)
    assert await store(queue, request()) == (None, False)
    with pytest.raises(Error) as refused:
        await store(queue, request(payload=[2]))
    assert refused.value.code == CONFLICT
    await end(memory)
    assert await store(queue, request()) == (await memory.get(KEY), False)


async def test_what_is_deleted_or_runs_again_while_it_is_sent_again(memory, queue, monkeypatch):
    await store(queue, request())
    waiting = await memory.get(KEY)
    await end(memory)
    ended = await memory.get(KEY)

    async def enqueue(_request):
        return Existing(summarize(ended), same=True)

    monkeypatch.setattr(queue, "enqueue", enqueue)
    for found in (None, waiting):

        async def get(_key, found=found):
            return found

        monkeypatch.setattr(queue, "get", get)
        if found is None:
            with pytest.raises(StoreUnavailable, match="deleted"):
                await store(queue, request())
        else:
            assert await store(queue, request()) == (None, False)


async def test_nothing_keeps_a_payload_whose_request_waits_for_the_store(queue, memory, monkeypatch):
    class Marked(list):
        pass

    alive = []
    enqueue = memory.enqueue

    async def slow(record):
        gc.collect()
        alive.append(sum(isinstance(one, Marked) for one in gc.get_objects()))
        return await enqueue(record)

    monkeypatch.setattr(memory, "enqueue", slow)
    await store(queue, request(payload=Marked([1])))
    assert alive == [0]
