"""A store that answers by a future: what is promised of one that is a coroutine, without a task for each request."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import Error, StoreUnavailable
from streamer.engine.adapters import RequestQueueAdapter


class Futures:
    """The memory store, with each answer in a future that a test may hold back."""

    def __init__(self, store):
        self.store = store
        self.open: asyncio.Event = asyncio.Event()
        self.open.set()
        self.futures = []

    def enqueue(self, record):
        async def answer():
            await self.open.wait()
            return await self.store.enqueue(record)

        self.futures.append(asyncio.ensure_future(answer()))
        return self.futures[-1]

    def __getattr__(self, name):
        return getattr(self.store, name)


async def ok(request):
    request.progress.report(50)
    return {"attempt": request.attempt}


@pytest.fixture
async def store(house):
    made = Futures(house.store)
    house.declare("work", ok, mode="async")
    house.router_options["store"] = RequestQueueAdapter(made, house.routes)
    return made


def send(house, peer, request_id="r", **message):
    house.send(peer, action="work", id=request_id, **message)


async def test_it_is_acknowledged_when_it_is_stored_and_not_before(house, store):
    peer = house.peer()
    store.open.clear()
    send(house, peer)
    await house.settle()
    assert (peer.messages, peer.running) == ([], 1)
    store.open.set()
    await house.start()
    assert peer.kinds("r") == ["acknowledgment", "progress", "complete"]
    assert peer.running == 0


async def test_the_same_again_gets_the_outcome_and_another_one_is_a_conflict(house, store):
    peer = house.peer()
    await house.start()
    for payload in (1, 1, 2):
        send(house, peer, payload=payload)
        await house.settle()
    kinds = ["acknowledgment", "progress", "complete", "acknowledgment", "complete", "error"]
    assert peer.kinds("r") == kinds
    assert peer.messages[-1]["error"]["code"] == "CONFLICT"


@pytest.mark.parametrize(
    "raised", [Error("OVERLOADED", "full"), StoreUnavailable("the disk is full"), RuntimeError("x")]
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_goes_wrong_is_told_and_nothing_follows(house, store, monkeypatch, raised, at_once):
    def broken(_record):
        if at_once:
            raise raised
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(raised)
        return failed

    monkeypatch.setattr(store, "enqueue", broken)
    peer = house.peer()
    send(house, peer)
    await house.settle()
    code = "INTERNAL_ERROR" if isinstance(raised, RuntimeError) else "OVERLOADED"
    assert [message["error"]["code"] for message in peer.messages] == [code]
    assert peer.running == 0
    assert (peer.owner, "r") not in house.delivery.subscribed_here()


async def test_what_came_before_the_acknowledgment_follows_it(house, store):
    peer = house.peer()
    store.open.clear()
    send(house, peer)
    await house.settle()
    await house.delivery.progress((peer.owner, "r"), lambda: b'{"type": "progress", "request_id": "r"}')
    assert peer.messages == []
    store.open.set()
    await house.settle()
    assert peer.kinds("r") == ["acknowledgment", "progress"]


async def test_a_drain_that_waits_no_longer_tells_the_client(house, store):
    peer = house.peer()
    store.open.clear()
    send(house, peer)
    await house.settle()
    draining = asyncio.create_task(house.router.drain(10))
    await house.clock.advance(11)
    await draining
    assert [message["error"]["code"] for message in peer.messages] == ["OVERLOADED"]
    assert peer.running == 0
    assert (peer.owner, "r") not in house.delivery.subscribed_here()


async def test_a_wake_up_that_takes_time_is_waited_for_by_a_drain(house, store):
    woken = asyncio.Event()
    house.router_options["on_queued"] = lambda _request, _route: woken.wait()
    peer = house.peer()
    send(house, peer)
    await house.settle()
    assert peer.kinds("r") == ["acknowledgment"]
    settled = asyncio.create_task(house.router.settle())
    await house.settle()
    assert not settled.done()
    woken.set()
    await settled


async def test_without_a_worker_it_is_acknowledged_all_the_same(house, store):
    house.router_options["on_queued"] = None
    peer = house.peer()
    send(house, peer)
    await house.settle()
    assert peer.kinds("r") == ["acknowledgment"]
