"""Who hears of a request, and in what order."""

from __future__ import annotations

import asyncio
import json

from streamer.core.errors import ConnectionGone
from streamer.engine.delivery import Delivery
from streamer.engine.subscriptions import LocalSubscriptions
from streamer.testing import ManualClock, SendOnlyMock

KEY = ("client:one", "r")
PROGRESS, COMPLETE = b'{"type":"progress"}', b'{"type":"complete"}'


def kinds(connections, connection_id="c"):
    return [message["type"] for message in connections.get_messages(connection_id)]


async def test_a_refused_message_ends_the_following_that_it_began():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    await delivery.terminal(KEY, COMPLETE)
    delivery.refused(KEY, "c")
    assert not delivery.may_have_subscribers(KEY)
    await delivery.acknowledged(KEY, "c")
    assert kinds(connections) == []


async def test_a_refused_message_does_not_end_the_following_of_another_with_the_same_id():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    delivery.subscribe(KEY, "c")
    delivery.refused(KEY, "c")
    await delivery.terminal(KEY, COMPLETE)
    await delivery.acknowledged(KEY, "c")
    assert kinds(connections) == ["complete"]


async def test_a_message_refused_after_another_was_acknowledged_changes_nothing():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    await delivery.acknowledged(KEY, "c")
    delivery.subscribe(KEY, "c")
    delivery.refused(KEY, "c")
    await delivery.progress(KEY, PROGRESS)
    assert kinds(connections) == ["progress"]


def test_a_refusal_of_what_nobody_follows_is_nothing():
    Delivery(SendOnlyMock()).refused(KEY, "c")


async def test_only_one_terminal_message_is_held_back():
    connections = SendOnlyMock()
    delivery = Delivery(connections)
    delivery.subscribe(KEY, "c")
    await delivery.progress(KEY, PROGRESS)
    await delivery.terminal(KEY, COMPLETE)
    await delivery.terminal(KEY, COMPLETE)
    await delivery.acknowledged(KEY, "c")
    assert kinds(connections) == ["progress", "complete"]
    assert delivery.subscribed_only_here() == []


async def test_what_comes_while_the_held_back_is_being_sent_keeps_its_place():
    gate = asyncio.Event()
    sent = []

    class Slow(SendOnlyMock):
        async def send(self, connection_id, message, /, *, replaces=None, final=False):
            await gate.wait()
            sent.append(json.loads(message)["n"])

    delivery = Delivery(Slow())
    delivery.subscribe(KEY, "c")
    await delivery.progress(KEY, b'{"n":1}')
    flushing = asyncio.create_task(delivery.acknowledged(KEY, "c"))
    await asyncio.sleep(0)
    await delivery.progress(KEY, b'{"n":2}')
    await delivery.terminal(KEY, b'{"n":3}')
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
    await delivery.progress(KEY, PROGRESS)
    assert delivery.subscribed_only_here() == []


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
    await delivery.progress(KEY, PROGRESS)
    await delivery.terminal(KEY, COMPLETE)
    assert kinds(connections) == ["progress", "complete"]
    assert [context["connection_id"] for _, _, context in logger.lines] == ["broken", "broken"]
    assert isinstance(logger.lines[0][2]["exc_info"], OSError)


async def test_a_connection_that_ended_while_its_request_was_read_leaves_it_at_once():
    clock = ManualClock()
    subscriptions = LocalSubscriptions(clock)
    delivery = Delivery(SendOnlyMock(), subscriptions=subscriptions)
    delivery.subscribe(KEY, "c")
    delivery.forget("c")
    await clock.advance(10)
    assert await subscriptions.orphaned() == []
    delivery.ends_after(KEY, 5.0)
    assert await subscriptions.orphaned() == []
    await clock.advance(5)
    assert await subscriptions.orphaned() == [KEY]
    assert await subscriptions.is_orphaned(KEY)
    await subscriptions.clear(KEY)
    # Nothing of it is kept: whoever follows next says anew what is to happen.
    delivery.subscribe(KEY, "c")
    delivery.forget("c")
    await clock.advance(10)
    assert not await subscriptions.is_orphaned(KEY)
