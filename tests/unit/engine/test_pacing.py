"""Outcomes for connections that are behind, at the edges."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.errors import ConnectionGone, Error
from streamer.engine.pacing import Pacing
from streamer.testing.clock import settle

KEY = ("client:one", "r")


class Connections:
    """A `ConnectionManager` with one connection, which lags behind while `room_for` is set."""

    def __init__(self):
        self.room_for = None
        self.gone = False

    def room(self, connection_id):
        if self.gone:
            raise ConnectionGone(connection_id)
        return self.room_for


@pytest.fixture
def connections():
    return Connections()


@pytest.fixture
def sent():
    return []


@pytest.fixture
def pacing(connections, sent):
    async def deliver(key, connection_id):
        sent.append((key, connection_id))

    return Pacing(connections, deliver, None)


async def test_a_connection_that_has_ended_is_not_behind(pacing, connections):
    connections.gone = True
    assert not pacing.behind("c")
    with pytest.raises(ConnectionGone):
        async with pacing.turn("c"):
            pass
    assert "c" not in pacing


async def test_turns_come_one_after_the_other_and_leave_nothing(pacing):
    order = []

    async def take(name):
        async with pacing.turn("c"):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    await asyncio.gather(take("one"), take("two"))
    assert order == ["one begins", "one ends", "two begins", "two ends"]
    assert "c" not in pacing


async def test_what_is_withdrawn_is_not_sent(pacing, connections, sent):
    connections.room_for = asyncio.get_running_loop().create_future()
    pacing.later(KEY, "c")
    pacing.later(("client:one", "other"), "c")
    await settle()
    pacing.withdraw(KEY, "c")
    pacing.withdraw(("client:one", "other"), "c")
    pacing.withdraw(KEY, "elsewhere")
    room, connections.room_for = connections.room_for, None
    room.set_result(None)
    await settle()
    assert (sent, "c" in pacing) == ([], False)


async def test_after_a_stop_a_turn_is_given_only_where_nobody_has_to_wait(pacing, connections):
    pacing.stop()
    async with pacing.turn("c"):
        pass
    connections.room_for = asyncio.get_running_loop().create_future()
    with pytest.raises(Error):
        async with pacing.turn("c"):
            pass
