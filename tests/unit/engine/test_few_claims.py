"""A worker asks the store when there may be something, and not when there cannot be."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import Error


@pytest.fixture
def counted(monkeypatch):
    """Counts a house's claims."""

    def count(house):
        claims = []
        claim = house.store.claim

        async def counting(*arguments, **options):
            claims.append(arguments)
            return await claim(*arguments, **options)

        monkeypatch.setattr(house.store, "claim", counting)
        return claims

    return count


async def ok(_request):
    return None


async def lone(house, claims, **message):
    before = len(claims)
    peer = house.peer()
    house.send(peer, **{"action": "work", "id": f"r{before}", **message})
    await house.settle()
    assert peer.kinds(f"r{before}")[-1] == "complete"
    return len(claims) - before


async def test_after_the_end_of_a_lone_request_nothing_is_claimed(house, counted):
    house.declare("work", ok, mode="async")
    claims = counted(house)
    await house.start()
    assert await lone(house, claims) == 1
    assert await lone(house, claims) == 1


async def test_a_claim_is_sent_behind_the_request_that_is_being_stored(house, counted):
    house.declare("work", ok, mode="async")
    claims = counted(house)
    house.expects = True
    await house.start()
    begun = len(claims)
    enqueue = house.store.enqueue
    stored_at = []

    async def enqueued(record):
        existing = await enqueue(record)
        # The store's answer takes until the claim has come.
        while len(claims) == begun:
            await asyncio.sleep(0)
        stored_at.append(len(claims))
        return existing

    house.store.enqueue = enqueued
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    assert peer.kinds("r") == ["acknowledgment", "complete"]
    assert stored_at == [begun + 1]


async def test_while_others_run_no_claim_is_sent_before_the_request_is_stored(house, counted):
    gate = asyncio.Event()

    async def wait(_request):
        await gate.wait()

    house.declare("work", wait, mode="async")
    claims = counted(house)
    await house.start()
    house.send(house.peer(), action="work", id="first")
    await house.settle()
    before = len(claims)
    house.worker.expect()
    await house.settle()
    assert len(claims) == before
    gate.set()
    await house.settle()


async def test_a_full_worker_claims_again_as_soon_as_one_has_ended(make_house, counted):
    house = make_house(concurrency=1)
    gates = {"a": asyncio.Event(), "b": asyncio.Event()}
    begun = []

    async def wait(request):
        begun.append(request.id)
        await gates[request.id].wait()

    house.declare("work", wait, mode="async")
    claims = counted(house)
    await house.start()
    peer = house.peer()
    house.send(peer, action="work", id="a")
    await house.settle()
    before = len(claims)
    house.send(peer, action="work", id="b")
    await house.settle()
    assert (begun, len(claims)) == (["a"], before)
    gates["a"].set()
    await house.settle()
    assert begun == ["a", "b"]
    gates["b"].set()
    await house.settle()
    await house.stop()


@pytest.mark.parametrize("limit", [{"tenant_concurrency": 5}, {}])
async def test_where_an_action_or_a_tenant_is_limited_each_end_is_looked_at(make_house, counted, limit):
    house = make_house(**limit)
    house.declare("work", ok, mode="async", **({} if limit else {"concurrency": 5}))
    claims = counted(house)
    await house.start()
    assert await lone(house, claims) == 2
    await house.stop()


async def test_a_retry_runs_when_it_is_due_though_nothing_else_happens(house):

    async def second(request):
        if request.attempt == 1:
            raise Error("TIMEOUT", "again", retryable=True)

    house.declare("work", second, mode="async")
    await house.start()
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    for _ in range(60):
        await house.clock.advance(1)
    assert peer.kinds("r")[-1] == "complete"


async def test_what_another_stored_is_found_after_the_poll_interval(house, counted):
    house.declare("work", ok, mode="async")
    claims = counted(house)
    await house.start()
    before = len(claims)
    await house.clock.advance(0.5)
    assert len(claims) == before
    await house.clock.advance(0.6)
    assert len(claims) > before
