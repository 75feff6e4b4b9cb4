"""Subscriptions that are shared by processes which hold sockets: what this one knows of its own."""

from __future__ import annotations

import asyncio

import pytest
from in_process.hub import MemorySubscriptions

from streamer.core.errors import StoreUnavailable
from streamer.engine.connection_ends import ConnectionEnds, left_to_sweep
from streamer.engine.delivery import Delivery
from streamer.engine.forwarded import ForwardedMessages
from streamer.engine.orphans import OrphanCanceller
from streamer.engine.shared_orphans import LOOK, OrphanTimes, SharedOrphanWatch
from streamer.engine.shared_subscribers import SharedSubscribers
from streamer.engine.wake_ups import RETRY, WakeUps
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock, MockConnectionManager, RecordingLogger
from streamer.testing.clock import settle

KEY = ("client:one", "r1")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def log():
    return RecordingLogger()


@pytest.fixture
def subscriptions(clock):
    return MemorySubscriptions(clock)


@pytest.fixture
def subscribers(subscriptions, log):
    ends = ConnectionEnds(subscriptions, left_to_sweep, log)
    return SharedSubscribers(subscriptions, ends, log, holds_sockets=True)


@pytest.fixture
def connections():
    return MockConnectionManager()


@pytest.fixture
def delivery(connections, subscribers, clock, log):
    return Delivery(connections, log, subscribers=subscribers, queue=MemoryStore(clock))


@pytest.fixture
async def joined(delivery):
    """A delivery with one connection that gets the messages of one request."""
    delivery.subscribe(KEY, "c1")
    await delivery.acknowledged(KEY, "c1")
    return delivery


def kinds(connections):
    return [message["type"] for message in connections.get_messages("c1")]


async def test_a_connection_waits_from_its_acknowledgment_to_the_outcome_that_another_process_sends(
    joined, subscribers, connections
):
    forwarded = ForwardedMessages(joined, subscribers)
    assert joined.waits("c1")
    assert joined.subscribed_here() == {KEY}
    forwarded.receive(KEY, "c1", b'{"type":"progress"}', False)
    await settle()
    assert joined.waits("c1")
    forwarded.receive(KEY, "c1", b'{"type":"complete"}', True)
    await settle()
    assert not joined.waits("c1")
    assert kinds(connections) == ["progress", "complete"]


async def test_a_connection_waits_no_more_when_this_process_sends_the_outcome_or_it_has_ended(delivery, subscribers):
    for ending in (lambda: delivery.terminal(KEY, lambda: b"{}"), lambda: subscribers.leave("c1")):
        delivery.subscribe(KEY, "c1")
        await delivery.acknowledged(KEY, "c1")
        assert delivery.waits("c1")
        await ending()
        assert not delivery.waits("c1")


async def test_an_outcome_that_comes_while_the_subscription_is_being_stored_is_not_waited_for(
    delivery, subscribers, subscriptions
):
    add, stored = subscriptions.add, asyncio.Event()

    async def slow(*arguments):
        await add(*arguments)
        await stored.wait()

    subscriptions.add = slow
    delivery.subscribe(KEY, "c1")
    acknowledging = asyncio.create_task(delivery.acknowledged(KEY, "c1"))
    await settle()
    assert await subscriptions.claim(KEY, "c1")
    ForwardedMessages(delivery, subscribers).receive(KEY, "c1", b"{}", True)
    stored.set()
    await acknowledging
    assert not delivery.waits("c1")


async def test_a_subscription_that_cannot_be_stored_is_not_known_here(delivery, subscriptions, log):
    async def broken(*_arguments):
        raise StoreUnavailable("not now")

    subscriptions.add = broken
    delivery.subscribe(KEY, "c1")
    await delivery.acknowledged(KEY, "c1")
    assert not delivery.waits("c1")
    assert log.events("error") == ["a connection cannot subscribe to its request"]


async def test_an_outcome_of_another_process_waits_until_the_connection_has_caught_up(
    joined, subscribers, connections, clock
):
    caught_up = asyncio.get_running_loop().create_future()
    connections.room = lambda _connection_id: None if caught_up.done() else caught_up
    ForwardedMessages(joined, subscribers).receive(KEY, "c1", b'{"type":"complete"}', True)
    await settle()
    assert kinds(connections) == []
    caught_up.set_result(None)
    await joined.settle()
    # It is read from the store then, which does not know this request.
    assert kinds(connections) == ["error"]


async def test_connections_of_no_sockets_of_this_process_are_not_remembered(subscriptions, connections, clock, log):
    subscribers = SharedSubscribers(subscriptions, ConnectionEnds(subscriptions, left_to_sweep, log), log)
    await subscribers.add(KEY, "c1", None)
    assert subscribers.here == {}
    assert await subscribers.claim(KEY, "c1")


class Worker:
    """A `Worker` that records the requests it was asked to cancel."""

    def __init__(self):
        self.cancelled = []

    async def cancel(self, key, _message):
        self.cancelled.append(key)


@pytest.fixture
async def watching(subscriptions, clock, log):
    """A watch that runs, its times and its worker."""
    times, worker = OrphanTimes(clock), Worker()
    watch = SharedOrphanWatch(times, OrphanCanceller(subscriptions, worker, logger=log), logger=log)
    running = asyncio.create_task(watch.run())
    await settle()
    yield times, worker
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_orphaned_request_is_cancelled_when_its_time_is_over(watching, subscriptions, clock):
    times, worker = watching
    for name, after in (("r2", 2.0), ("r1", 1.0), ("back", 1.0)):
        await subscriptions.add((KEY[0], name), "c1", after)
    for key, after in await subscriptions.leave("c1"):
        await times.note(key, after)
    await subscriptions.add((KEY[0], "back"), "c2", 1.0)
    await settle()
    assert worker.cancelled == []
    await clock.advance(1.0)
    assert worker.cancelled == [KEY]
    await clock.advance(1.0)
    assert worker.cancelled == [KEY, (KEY[0], "r2")]


async def test_what_a_process_left_that_has_ended_is_found_by_a_look_now_and_then(watching, subscriptions, clock):
    _, worker = watching
    await subscriptions.add(KEY, "c1", 1.0)
    await subscriptions.leave("c1")
    await clock.advance(LOOK)
    assert worker.cancelled == [KEY]


async def test_orphans_that_cannot_be_read_are_looked_for_again(watching, subscriptions, clock, log):
    _, worker = watching
    orphaned = subscriptions.orphaned

    async def broken(_limit):
        raise StoreUnavailable("not now")

    subscriptions.orphaned = broken
    await clock.advance(LOOK)
    assert log.events("warning") == ["orphaned requests could not be read"]
    subscriptions.orphaned = orphaned
    await subscriptions.add(KEY, "c1", 0.0)
    await subscriptions.leave("c1")
    await clock.advance(LOOK)
    assert worker.cancelled == [KEY]


async def test_a_worker_is_woken_by_what_others_store_and_by_a_watch_that_failed(clock, log):
    class Queue:
        async def watch(self, wake, /):
            wake()
            raise StoreUnavailable("the connection broke")

    woken = []
    running = asyncio.create_task(WakeUps(Queue(), lambda: woken.append(1), clock=clock, logger=log).run())
    await settle()
    assert len(woken) == 1
    await clock.advance(RETRY)
    # After the pause, and by the watch that began anew.
    assert len(woken) == 3
    assert len(log.events("warning")) == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
