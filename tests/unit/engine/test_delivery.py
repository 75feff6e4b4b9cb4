"""Who hears of a request, and in what order."""

from __future__ import annotations

import asyncio
import json

from streamer.core.errors import ConnectionGone
from streamer.engine.delivery import Delivery
from streamer.engine.subscriptions import LocalSubscriptions
from streamer.testing import ManualClock, ProgressReporterMock, SendOnlyMock

KEY = ("client:one", "r")
PROGRESS, COMPLETE = b'{"type":"progress"}', b'{"type":"complete"}'


def kinds(connections, connection_id="c"):
    return [message["type"] for message in connections.get_messages(connection_id)]


async def test_a_refused_message_ends_the_following_that_it_began():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    await delivery.terminal(KEY, lambda: COMPLETE)
    delivery.unsubscribe(KEY, "c")
    assert KEY not in delivery.subscribed_here()
    await delivery.acknowledged(KEY, "c")
    assert kinds(connections) == []


async def test_a_refused_message_does_not_end_the_following_of_another_with_the_same_id():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    delivery.subscribe(KEY, "c")
    delivery.unsubscribe(KEY, "c")
    await delivery.terminal(KEY, lambda: COMPLETE)
    await delivery.acknowledged(KEY, "c")
    assert kinds(connections) == ["complete"]


async def test_a_message_refused_after_another_was_acknowledged_changes_nothing():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    await delivery.acknowledged(KEY, "c")
    delivery.subscribe(KEY, "c")
    delivery.unsubscribe(KEY, "c")
    await delivery.progress(KEY, lambda: PROGRESS)
    assert kinds(connections) == ["progress"]


def test_a_refusal_of_what_nobody_follows_is_nothing():
    Delivery(SendOnlyMock()).unsubscribe(KEY, "c")


async def test_only_one_terminal_message_is_held_back():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    await delivery.progress(KEY, lambda: PROGRESS)
    await delivery.terminal(KEY, lambda: COMPLETE)
    await delivery.terminal(KEY, lambda: COMPLETE)
    await delivery.acknowledged(KEY, "c")
    assert kinds(connections) == ["progress", "complete"]
    assert delivery.subscribed_here() == set()


async def test_what_comes_while_the_held_back_is_being_sent_keeps_its_place():
    gate = asyncio.Event()
    sent = []

    class Slow(SendOnlyMock):
        async def send(self, connection_id, message, /, *, replaces=None, final=False):
            await gate.wait()
            sent.append(json.loads(message)["n"])

    delivery = Delivery(Slow())
    delivery.subscribe(KEY, "c")
    await delivery.progress(KEY, lambda: b'{"n":1}')
    flushing = asyncio.create_task(delivery.acknowledged(KEY, "c"))
    await asyncio.sleep(0)
    await delivery.progress(KEY, lambda: b'{"n":2}')
    await delivery.terminal(KEY, lambda: b'{"n":3}')
    gate.set()
    await flushing
    assert sent == [1, 2, 3]


async def test_a_connection_that_ends_is_forgotten_with_all_that_it_followed(make_house):
    class Gone(SendOnlyMock):
        async def send(self, connection_id, message, /, *, replaces=None, final=False):
            raise ConnectionGone("it has ended")

    delivery = Delivery(Gone())
    delivery.subscribe(KEY, "c")
    delivery.subscribe(("client:one", "other"), "c")
    await delivery.acknowledged(KEY, "c")
    await delivery.acknowledged(("client:one", "other"), "c")
    await delivery.progress(KEY, lambda: PROGRESS)
    assert delivery.subscribed_here() == set()


async def test_a_connection_manager_that_breaks_harms_that_connection_alone(make_house):
    logger = make_house().logger
    connections = SendOnlyMock()
    send = connections.send

    async def breaks(connection_id, message, /, **options):
        if connection_id == "broken":
            raise OSError("the gateway is down")
        await send(connection_id, message, **options)

    connections.send = breaks
    delivery = Delivery(connections, logger)
    for connection_id in ("broken", "c"):
        delivery.subscribe(KEY, connection_id)
        await delivery.acknowledged(KEY, connection_id)
    await delivery.progress(KEY, lambda: PROGRESS)
    await delivery.terminal(KEY, lambda: COMPLETE)
    assert kinds(connections) == ["progress", "complete"]
    assert [context["connection_id"] for _, _, context in logger.lines] == ["broken", "broken"]
    assert isinstance(logger.lines[0][2]["exc_info"], OSError)


async def test_a_connection_that_ended_while_its_request_was_read_leaves_it_at_once():
    clock = ManualClock()
    subscriptions = LocalSubscriptions(clock)
    delivery = Delivery(ProgressReporterMock(), subscribers=subscriptions)
    delivery.subscribe(KEY, "c")
    delivery.forget("c")
    await clock.advance(10)
    assert await subscriptions.orphaned() == []
    await delivery.attach(KEY, "c", None, ends_after=5.0)
    assert await subscriptions.orphaned() == []
    await clock.advance(5)
    assert await subscriptions.orphaned() == [KEY]
    assert await subscriptions.is_orphaned(KEY)
    await subscriptions.clear(KEY)
    # Nothing of it is kept: the next subscriber says anew what is to happen.
    delivery.subscribe(KEY, "c")
    await delivery.acknowledged(KEY, "c")
    delivery.forget("c")
    await clock.advance(10)
    assert not await subscriptions.is_orphaned(KEY)


async def test_what_is_asked_for_while_it_is_sent_live_comes_at_once_and_is_followed_by_what_is_newer():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    await delivery.acknowledged(KEY, "c")
    delivery.subscribe(KEY, "c")
    await delivery.attach(KEY, "c", PROGRESS)
    await delivery.terminal(KEY, lambda: COMPLETE)
    await delivery.attach(KEY, "c", PROGRESS)
    assert kinds(connections) == ["progress", "complete"]


async def test_an_outcome_that_was_asked_for_is_not_sent_again_by_the_worker():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    for state in ("live", "awaited"):
        delivery.subscribe(KEY, state)
    await delivery.acknowledged(KEY, "live")
    for connection_id in ("live", "awaited"):
        await delivery.send_ended(KEY, connection_id, COMPLETE)
    await delivery.terminal(KEY, lambda: COMPLETE)
    await delivery.acknowledged(KEY, "awaited")
    assert kinds(connections, "live") == kinds(connections, "awaited") == ["complete"]


async def test_a_message_is_encoded_once_for_all_and_not_at_all_for_nobody():
    made = []

    def make():
        made.append(1)
        return PROGRESS

    delivery = Delivery(SendOnlyMock())
    await delivery.progress(KEY, make)
    await delivery.terminal(KEY, make)
    assert made == []
    for connection_id in ("c", "d", "held"):
        delivery.subscribe(KEY, connection_id)
        if connection_id != "held":
            await delivery.acknowledged(KEY, connection_id)
    await delivery.progress(KEY, make)
    assert made == [1]
