"""A request into the store, or what was there before it."""

from __future__ import annotations

import gc

import pytest
from msgspec import structs

from streamer.core.errors import CONFLICT, Error
from streamer.core.messages import Request
from streamer.engine.adapters import RequestQueueAdapter
from streamer.engine.submission import begin_storing, stored
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock
from streamer.testing.conformance import lease_of


def request(**changes):
    return Request(**{"id": "r", "action": "a", "owner": "o", "payload": [1], **changes})


@pytest.fixture
def memory():
    return MemoryStore(ManualClock())


@pytest.fixture
def queue(memory):
    return RequestQueueAdapter(memory)


async def store(queue, request):
    storing = begin_storing(queue, request)
    request = structs.replace(request, payload=None)
    return await stored(request, storing)


async def end(memory):
    (claimed,) = (await memory.claim("w", 1, 30.0)).records
    await memory.complete(lease_of(claimed), seq=1, result=b'{"success":true,"result":1}')


async def test_the_same_again_is_known_to_have_ended_and_nothing_is_read_for_that(memory, queue, monkeypatch):
    assert await store(queue, request()) == (False, True)
    assert await store(queue, request()) == (False, False)
    with pytest.raises(Error) as refused:
        await store(queue, request(payload=[2]))
    assert refused.value.code == CONFLICT
    await end(memory)
    monkeypatch.delattr(RequestQueueAdapter, "get")
    assert await store(queue, request()) == (True, False)


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
