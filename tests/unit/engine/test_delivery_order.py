from __future__ import annotations

import pytest

from streamer.core.errors import ConnectionGone
from streamer.engine.delivery import Delivery
from streamer.testing import RecordingLogger

KEY = ("client:one", "r")
OTHER = ("client:one", "other")


class Connections:
    """Keeps what is sent; raises what the test says."""

    def __init__(self):
        self.sent = []
        self.problems = {}

    async def send(self, connection_id, message, /, *, replaces=None, final=False):
        if connection_id in self.problems:
            raise self.problems[connection_id]
        self.sent.append((connection_id, message, replaces, final))

    def messages(self, connection_id="c1"):
        return [message for name, message, _, _ in self.sent if name == connection_id]


@pytest.fixture
def connections():
    return Connections()


@pytest.fixture
def delivery(connections):
    return Delivery(connections, RecordingLogger())


async def test_nothing_is_sent_before_the_acknowledgment_and_everything_in_order_after_it(delivery, connections):
    delivery.subscribe(KEY, "c1")
    await delivery.progress(KEY, lambda: b"10")
    await delivery.progress(KEY, lambda: b"20")
    await delivery.terminal(KEY, lambda: b"end")
    assert connections.sent == []
    await delivery.acknowledged(KEY, "c1")
    assert connections.sent == [("c1", b"10", "r", False), ("c1", b"20", "r", False), ("c1", b"end", "r", True)]


async def test_a_terminal_message_is_sent_once_to_each_connection_and_nothing_after_it(delivery, connections):
    for name in ("c1", "c2"):
        delivery.subscribe(KEY, name)
        await delivery.acknowledged(KEY, name)
    delivery.subscribe(KEY, "held")
    for _ in range(2):
        await delivery.terminal(KEY, lambda: b"end")
        await delivery.progress(KEY, lambda: b"late")
    await delivery.acknowledged(KEY, "held")
    await delivery.acknowledged(KEY, "held")
    assert connections.messages("c1") == connections.messages("c2") == [b"end"]
    assert connections.messages("held").count(b"end") == 1
    assert KEY not in delivery.subscribed_here()


async def test_what_nobody_follows_is_sent_to_nobody(delivery, connections):
    await delivery.progress(KEY, lambda: b"10")
    await delivery.terminal(KEY, lambda: b"end")
    await delivery.acknowledged(KEY, "c1")
    delivery.unsubscribe(KEY, "c1")
    delivery.unsubscribe(KEY, "c1")
    delivery.forget("c1")
    assert connections.sent == []


async def test_a_refusal_ends_the_following_that_it_began(delivery, connections):
    delivery.subscribe(KEY, "c1")
    await delivery.terminal(KEY, lambda: b"end")
    delivery.unsubscribe(KEY, "c1")
    assert KEY not in delivery.subscribed_here()
    await delivery.acknowledged(KEY, "c1")
    assert connections.sent == []


async def test_a_refusal_leaves_another_messages_following_as_it_is(delivery, connections):
    delivery.subscribe(KEY, "c1")
    delivery.subscribe(KEY, "c1")
    delivery.unsubscribe(KEY, "c1")
    await delivery.acknowledged(KEY, "c1")
    delivery.subscribe(KEY, "c1")
    delivery.unsubscribe(KEY, "c1")
    await delivery.terminal(KEY, lambda: b"end")
    assert connections.messages() == [b"end"]


async def test_ending_one_following_leaves_the_connections_others(delivery, connections):
    for key in (KEY, OTHER):
        delivery.subscribe(key, "c1")
        await delivery.acknowledged(key, "c1")
    assert sorted(delivery.subscribed_here()) == [OTHER, KEY]
    await delivery.terminal(KEY, lambda: b"first")
    assert delivery.subscribed_here() == {OTHER}
    await delivery.terminal(OTHER, lambda: b"end")
    assert connections.messages() == [b"first", b"end"]


async def test_a_connection_that_is_gone_is_followed_by_nothing_more(delivery, connections):
    for key in (KEY, OTHER):
        for name in ("c1", "c2"):
            delivery.subscribe(key, name)
            await delivery.acknowledged(key, name)
    connections.problems["c1"] = ConnectionGone("gone")
    await delivery.progress(KEY, lambda: b"10")
    del connections.problems["c1"]
    await delivery.terminal(OTHER, lambda: b"end")
    assert connections.messages("c1") == []
    assert connections.messages("c2") == [b"10", b"end"]


async def test_a_connection_that_ended_while_its_messages_were_held_gets_none(delivery, connections):
    delivery.subscribe(KEY, "c1")
    await delivery.progress(KEY, lambda: b"10")
    delivery.forget("c1")
    connections.problems["c1"] = ConnectionGone("gone")
    await delivery.acknowledged(KEY, "c1")
    assert connections.sent == []
    await delivery.terminal(KEY, lambda: b"end")
    assert connections.sent == []
    assert delivery.subscribed_here() == set()


async def test_what_breaks_one_connection_is_logged_and_does_not_reach_the_others(delivery, connections):
    for name in ("c1", "c2"):
        delivery.subscribe(KEY, name)
        await delivery.acknowledged(KEY, name)
    connections.problems["c1"] = KeyError("a fault of the manager")
    await delivery.progress(KEY, lambda: b"10")
    await delivery.terminal(KEY, lambda: b"end")
    assert connections.messages("c2") == [b"10", b"end"]
    assert [context["connection_id"] for _, _, context in delivery._logger.lines] == ["c1", "c1"]


def test_whoever_gives_no_logger_gets_the_services(connections):
    assert Delivery(connections)._logger is not None
