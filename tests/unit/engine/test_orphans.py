"""Requests that end when everybody who followed them has gone."""

import asyncio

import pytest

from streamer.core.errors import StoreUnavailable
from streamer.engine.orphan_watch import RETURN_GRACE, OrphanWatch
from streamer.engine.orphans import MESSAGE, OrphanCanceller
from streamer.engine.subscriptions import LocalSubscriptions

KEY = ("client:one", "r")


def canceller(house):
    return OrphanCanceller(house.subscriptions, house.worker, logger=house.logger)


@pytest.fixture
async def watch(house):
    return OrphanWatch(
        house.store, house.routes, house.subscriptions, canceller(house), clock=house.clock, logger=house.logger
    )


@pytest.fixture
async def watching(house, watch):
    await house.settle()
    task = asyncio.create_task(watch.run())
    await house.settle()
    yield watch
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def waits(_request):
    await asyncio.Event().wait()


def leave(house, peer):
    house.connections.remove(peer)
    house.router.disconnected(peer)


async def submit(house, **options):
    house.declare("work", waits, mode="async", **options)
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    return peer


async def status(house):
    return (await house.store.get(KEY)).status.value


async def test_a_request_goes_on_when_its_connection_ends(house, watching):
    peer = await submit(house)
    leave(house, peer)
    await house.clock.advance(3600)
    assert await status(house) == "PENDING"


async def test_a_request_whose_action_says_cancel_ends_with_its_connection(house, watching):
    peer = await submit(house, cancel_after=0.0)
    leave(house, peer)
    await house.settle()
    assert await status(house) == "CANCELLED"
    assert (await house.store.get(KEY)).error.message == MESSAGE


async def test_a_running_one_is_stopped(house, watching):
    stopped = []

    async def tidies(request):
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(request.id)

    house.declare("work", tidies, mode="async", cancel_after=0.0)
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.start()
    leave(house, peer)
    await house.settle()
    assert stopped == ["r"]
    assert await status(house) == "CANCELLED"


async def test_it_has_its_time_first(house, watching):
    peer = await submit(house, cancel_after=60.0)
    leave(house, peer)
    await house.clock.advance(59)
    assert await status(house) == "PENDING"
    await house.clock.advance(1)
    assert await status(house) == "CANCELLED"


async def test_whoever_follows_again_in_time_keeps_it_alive_and_the_time_begins_anew_with_the_next_end(house, watching):
    peer = await submit(house, cancel_after=60.0)
    leave(house, peer)
    await house.clock.advance(50)
    again = house.peer("c2")
    house.send(again, action="streamer.resume", id="s")
    await house.clock.advance(5)
    leave(house, again)
    await house.clock.advance(30)
    assert await status(house) == "PENDING"
    await house.clock.advance(30)
    assert await status(house) == "CANCELLED"


async def test_as_long_as_one_of_several_connections_follows_it_goes_on(house, watching):
    first = await submit(house, cancel_after=0.0)
    second = house.peer("c2")
    house.send(second, action="work", id="r")
    await house.settle()
    leave(house, first)
    await house.clock.advance(10)
    assert await status(house) == "PENDING"
    leave(house, second)
    await house.settle()
    assert await status(house) == "CANCELLED"


async def test_one_that_has_ended_meanwhile_is_left_as_it_is(house, watching):
    peer = await submit(house, cancel_after=60.0)
    leave(house, peer)
    await house.store.cancel(KEY, "by its owner")
    await house.clock.advance(60)
    assert (await house.store.get(KEY)).error.message == "by its owner"


async def test_a_connection_that_ended_before_its_request_was_stored_counts_as_gone(house, watching):
    house.declare("work", waits, mode="async", cancel_after=0.0)
    peer = house.peer()
    house.send(peer, action="work", id="r")
    leave(house, peer)
    await house.settle()
    assert await status(house) == "CANCELLED"


async def test_a_store_that_refuses_is_asked_again(house, watching):
    peer = await submit(house, cancel_after=0.0)
    cancel = house.store.cancel

    async def broken(*_arguments):
        raise StoreUnavailable("gone")

    house.store.cancel = broken
    leave(house, peer)
    await house.settle()
    house.store.cancel = cancel
    await house.clock.advance(1)
    assert await status(house) == "CANCELLED"


async def test_after_a_restart_clients_get_time_to_come_back(house):
    peer = await submit(house, cancel_after=0.0)
    leave(house, peer)
    # The process dies before it has cancelled what was left: the next one knows nothing of it.
    house.subscriptions = LocalSubscriptions(house.clock)
    watch = OrphanWatch(
        house.store,
        house.routes,
        house.subscriptions,
        canceller(house),
        clock=house.clock,
        logger=house.logger,
    )
    lists = house.store.list

    async def broken(**_options):
        house.store.list = lists
        raise StoreUnavailable("gone")

    house.store.list = broken
    task = asyncio.create_task(watch.run())
    await house.settle()
    await house.clock.advance(1)
    await house.clock.advance(RETURN_GRACE - 1)
    assert await status(house) == "PENDING"
    await house.clock.advance(1)
    assert await status(house) == "CANCELLED"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_after_a_restart_those_who_are_back_already_keep_theirs(house, watch):
    await submit(house, cancel_after=0.0)
    await watch.recover()
    await house.clock.advance(RETURN_GRACE)
    await canceller(house).sweep()
    assert await status(house) == "PENDING"
