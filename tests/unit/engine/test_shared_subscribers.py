"""Followers that are written down: nothing before the acknowledgment, and one terminal message a connection, whoever is
quicker.
"""

from __future__ import annotations

import asyncio
import itertools
import json

import msgspec
import pytest

from streamer.contracts.stores import Lease
from streamer.core.errors import ConnectionGone, StoreUnavailable
from streamer.core.records import RequestRecord
from streamer.engine.connection_ends import ConnectionEnds, left_to_sweep
from streamer.engine.delivery import Delivery
from streamer.engine.delivery_tracker import DeliveryTracker
from streamer.engine.shared_subscribers import SharedSubscribers
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock, MockConnectionManager
from streamer.testing.clock import settle

KEY = ("client:one", "r1")
DONE = b'{"type":"complete","request_id":"r1","seq":9,"success":true,"result":1}'


class MemorySubscriptions:
    """`Subscriptions` in this process. A test can hold each call; no read is ever out of date."""

    def __init__(self):
        self.rows = {}
        self.endings = {}
        self.gates = {}
        self.broken = set()
        self.departed = []

    async def _turn(self, name):
        if name in self.gates:
            await self.gates[name].wait()
        if name in self.broken:
            raise StoreUnavailable("the table does not answer")

    async def add(self, key, connection_id, /, ends_after=None):
        await self._turn("add")
        self.rows.setdefault(key, {})[connection_id] = None
        if ends_after is not None:
            self.endings[connection_id] = (key, ends_after)

    async def of(self, key, /, claimed_before=None):
        await self._turn("of")
        return [name for name, told in self.rows.get(key, {}).items() if self._open(told, claimed_before)]

    async def claim(self, key, connection_id, /, claimed_before=None):
        await self._turn("claim")
        rows = self.rows.get(key, {})
        if connection_id not in rows or not self._open(rows[connection_id], claimed_before):
            return False
        rows[connection_id] = 100.0
        return True

    async def leave(self, connection_id, /):
        await self._turn("leave")
        self.departed.append(connection_id)
        left = self.endings.pop(connection_id, None)
        return [] if left is None else [left]

    def _open(self, told, claimed_before):
        return told is None or (claimed_before is not None and told <= claimed_before)


class Connections(MockConnectionManager):
    """Refuses where a test says so."""

    def __init__(self):
        super().__init__()
        self.refuses = {}

    async def send(self, connection_id, message, /, *, replaces=None, final=False):
        if connection_id in self.refuses:
            raise self.refuses[connection_id]
        await super().send(connection_id, message, replaces=replaces, final=final)


@pytest.fixture
def subscribers():
    return MemorySubscriptions()


@pytest.fixture
def connections():
    return Connections()


@pytest.fixture
async def store():
    clock = ManualClock()
    store = MemoryStore(clock)
    now = clock.now()
    await store.enqueue(
        RequestRecord(owner=KEY[0], id=KEY[1], action="work", payload=b"1", created_at=now, updated_at=now, due_at=now)
    )
    return store


@pytest.fixture
def logger(house):
    return house.logger


def make_delivery(connections, subscribers, store, logger, on_orphaned=left_to_sweep):
    return Delivery(
        connections,
        logger,
        subscribers=SharedSubscribers(subscribers, ConnectionEnds(subscribers, on_orphaned, logger), logger),
        queue=store,
        tracker=DeliveryTracker(store, clock=ManualClock(), logger=logger),
    )


@pytest.fixture
def delivery(connections, subscribers, store, logger):
    return make_delivery(connections, subscribers, store, logger)


async def complete(store):
    (record,) = (await store.claim("w1", 1, 30.0)).records
    result = msgspec.json.encode({"success": True, "result": 1})
    await store.complete(Lease(record.owner, record.id, record.fence), seq=9, result=result)


def kinds(connections, name="c1"):
    return [message["type"] for message in connections.get_messages(name)]


async def test_a_follower_is_written_down_when_its_acknowledgment_was_sent_and_not_before(delivery, subscribers):
    delivery.subscribe(KEY, "c1")
    assert delivery.awaits_acknowledgment(KEY, "c1")
    assert subscribers.rows == {}
    await delivery.acknowledged(KEY, "c1")
    assert subscribers.rows == {KEY: {"c1": None}}
    assert not delivery.awaits_acknowledgment(KEY, "c1")


async def test_two_messages_that_await_their_acknowledgment_are_two(delivery, subscribers):
    delivery.subscribe(KEY, "c1")
    delivery.subscribe(KEY, "c1")
    delivery.unsubscribe(KEY, "c1")
    assert delivery.awaits_acknowledgment(KEY, "c1")
    delivery.unsubscribe(KEY, "c1")
    assert not delivery.awaits_acknowledgment(KEY, "c1")
    assert subscribers.rows == {}


ORDERS = [
    order
    for order in itertools.permutations(["add", "get", "end", "of"])
    if order.index("add") < order.index("get") and order.index("end") < order.index("of")
]
"""The acknowledger adds and then gets, whoever ends it does that and asks then who follows."""


@pytest.mark.parametrize("order", ORDERS)
async def test_whoever_is_quicker_the_outcome_is_told_once(delivery, subscribers, store, connections, order):
    turns = {name: asyncio.Event() for name in order}
    subscribers.gates = {"add": turns["add"], "of": turns["of"]}
    get = store.get

    async def held(key, /):
        await turns["get"].wait()
        return await get(key)

    store.get = held

    async def end():
        await turns["end"].wait()
        await complete(store)
        await delivery.terminal(KEY, lambda: DONE)

    delivery.subscribe(KEY, "c1")
    both = asyncio.gather(delivery.acknowledged(KEY, "c1"), end())
    for name in order:
        turns[name].set()
        await settle()
    await both
    assert kinds(connections) == ["complete"]


async def test_many_who_tell_at_the_same_time_tell_once_to_each(delivery, subscribers, store, connections):
    for name in ("c1", "c2"):
        await subscribers.add(KEY, name)
    await complete(store)
    await asyncio.gather(*(delivery.terminal(KEY, lambda: DONE) for _ in range(10)))
    assert kinds(connections, "c1") == kinds(connections, "c2") == ["complete"]


async def test_what_was_begun_to_be_told_long_ago_is_told_again_and_what_was_begun_now_is_not(
    delivery, subscribers, store, connections
):
    subscribers.rows[KEY] = {"c1": 50.0, "c2": 99.0, "c3": None}
    await complete(store)
    await delivery.terminal(KEY, lambda: DONE, 60.0)
    assert [kinds(connections, name) for name in ("c1", "c2", "c3")] == [["complete"], [], ["complete"]]


async def test_progress_goes_to_all_who_follow_now(delivery, subscribers, connections):
    await subscribers.add(KEY, "c1")
    await delivery.progress(KEY, lambda: b'{"type":"progress","request_id":"r1","seq":1}')
    await subscribers.add(KEY, "c2")
    await delivery.progress(KEY, lambda: b'{"type":"progress","request_id":"r1","seq":2}')
    assert [message["seq"] for message in connections.get_messages("c1")] == [1, 2]
    assert [message["seq"] for message in connections.get_messages("c2")] == [2]


async def test_a_connection_that_is_gone_is_forgotten_and_the_others_are_told(subscribers, store, connections, logger):
    left = []

    async def on_orphaned(key, after):
        left.append((key, after))

    delivery = make_delivery(connections, subscribers, store, logger, on_orphaned)
    connections.set_active("c1", True)
    delivery.subscribe(KEY, "c1")
    await delivery.acknowledged(KEY, "c1", ends_after=30.0)
    await subscribers.add(KEY, "c2")
    connections.refuses["c1"] = ConnectionGone("it is gone")
    await complete(store)
    await delivery.terminal(KEY, lambda: DONE)
    await delivery.settle()
    assert subscribers.departed == ["c1"]
    assert left == [(KEY, 30.0)]
    assert kinds(connections, "c2") == ["complete"]
    assert not [line for line in logger.lines if line[0] == "error"]


async def test_a_departure_that_nobody_asked_about_is_only_written_down(delivery, subscribers):
    subscribers.endings["c1"] = (KEY, 30.0)
    delivery.forget("c1")
    await delivery.settle()
    assert subscribers.departed == ["c1"]


async def test_what_nobody_could_be_told_does_not_count_as_told(delivery, subscribers, store, connections, logger):
    await subscribers.add(KEY, "c1")
    connections.refuses["c1"] = OSError("the gateway broke")
    await complete(store)
    await delivery.terminal(KEY, lambda: DONE)
    assert [line[1] for line in logger.lines if line[0] == "error"] == ["a message could not be sent"]
    del connections.refuses["c1"]
    await delivery.terminal(KEY, lambda: DONE, claimed_before=101.0)
    assert kinds(connections) == ["complete"]


@pytest.mark.parametrize(
    ("broken", "event"),
    [("of", "an outcome was not sent yet"), ("claim", "an outcome was not sent yet")],
)
async def test_followers_that_cannot_be_asked_are_told_later(
    delivery, subscribers, store, connections, logger, broken, event
):
    await subscribers.add(KEY, "c1")
    await complete(store)
    subscribers.broken.add(broken)
    await delivery.terminal(KEY, lambda: DONE)
    assert kinds(connections) == []
    assert event in [line[1] for line in logger.lines]
    subscribers.broken.clear()
    await delivery.terminal(KEY, lambda: DONE)
    assert kinds(connections) == ["complete"]


async def test_progress_that_cannot_be_sent_is_a_line_in_the_log(delivery, subscribers, logger):
    subscribers.broken.add("of")
    await delivery.progress(KEY, lambda: b"{}")
    assert [line[:2] for line in logger.lines] == [("warning", "progress was not sent")]


async def test_a_follower_that_cannot_be_written_down_is_told_in_the_log(delivery, subscribers, logger):
    subscribers.broken.add("add")
    delivery.subscribe(KEY, "c1")
    await delivery.acknowledged(KEY, "c1")
    assert [line[:2] for line in logger.lines] == [("error", "a connection cannot subscribe to its request")]
    subscribers.broken.add("leave")
    delivery.forget("c1")
    await delivery.settle()
    assert logger.lines[-1][:2] == ("warning", "the end of a connection was not stored")


async def test_who_attaches_hears_the_state_first_and_then_follows(delivery, subscribers, connections):
    delivery.subscribe(KEY, "c1")
    state = json.dumps({"type": "progress", "request_id": "r1", "seq": 4}).encode()
    await delivery.attach(KEY, "c1", state)
    assert subscribers.rows == {KEY: {"c1": None}}
    assert [message["seq"] for message in connections.get_messages("c1")] == [4]


async def test_who_attaches_while_it_ends_is_told_the_end(delivery, subscribers, store, connections):
    delivery.subscribe(KEY, "c1")
    await complete(store)
    await delivery.attach(KEY, "c1", None)
    assert kinds(connections) == ["complete"]


async def test_who_attaches_to_what_has_ended_is_told_and_does_not_follow(delivery, subscribers, store, connections):
    await complete(store)
    await subscribers.add(KEY, "c1")
    delivery.subscribe(KEY, "c1")
    await delivery.send_ended(KEY, "c1", DONE)
    await delivery.terminal(KEY, lambda: DONE)
    assert kinds(connections) == ["complete"]


async def test_who_is_gone_before_the_state_reaches_it_does_not_follow(delivery, subscribers, connections):
    connections.refuses["c1"] = ConnectionGone("it is gone")
    delivery.subscribe(KEY, "c1")
    await delivery.attach(KEY, "c1", b"{}")
    await delivery.settle()
    assert subscribers.rows == {}
    assert subscribers.departed == ["c1"]


async def test_what_is_confirmed_is_recorded_and_waited_for(delivery, store):
    await complete(store)
    delivery.confirmed([KEY])
    await delivery.settle()
    assert (await store.get(KEY)).delivered_at is not None


async def test_the_outcome_of_what_had_ended_when_it_was_sent_again_is_waited_for(delivery, store, connections):
    await complete(store)
    delivery.subscribe(KEY, "c1")
    await delivery.acknowledged(KEY, "c1", ended=True)
    await delivery.settle()
    assert kinds(connections) == ["complete"]


async def test_an_outcome_that_ended_here_while_its_acknowledgment_was_sent_follows_it(
    delivery, subscribers, store, connections
):
    delivery.subscribe(KEY, "c1")
    await complete(store)
    await delivery.terminal(KEY, lambda: DONE)
    assert kinds(connections) == []
    await delivery.acknowledged(KEY, "c1")
    assert kinds(connections) == ["complete"]
    # Nobody else can have sent it anything, so it needs no row.
    assert subscribers.rows == {}
