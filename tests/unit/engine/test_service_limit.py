"""The service's own actions: a few of one owner at a time, one after the other where answers are large."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from streamer.core.errors import RATE_LIMITED, ConnectionGone, Error
from streamer.core.messages import Request, Result
from streamer.engine import service_actions
from streamer.engine.service_limit import AT_ONCE, ServiceActionLimit


class Turns:
    """The turns of connections, and which of them have ended."""

    def __init__(self):
        self.locks = {}
        self.gone = set()

    @contextlib.asynccontextmanager
    async def turn(self, key, connection_id):
        assert key is None
        if connection_id in self.gone:
            raise ConnectionGone(connection_id)
        async with self.locks.setdefault(connection_id, asyncio.Lock()):
            yield


class Asked:
    """Requests to a limit, each answered when the gate opens."""

    def __init__(self, limit):
        self.turns = Turns()
        self.limit = ServiceActionLimit(self.turns, limit)
        self.gate = asyncio.Event()
        self.at_work = 0
        self.tasks = []

    def ask(self, action="list", connection="c1", owner="o"):
        request = Request(id="r", action=f"streamer.{action}", connection_id=connection, owner=owner)
        self.tasks.append(asyncio.create_task(self.limit.process(request, self.work)))
        return self.tasks[-1]

    async def work(self, _request):
        self.at_work += 1
        await self.gate.wait()
        self.at_work -= 1
        return Result(data=1)

    async def settle(self):
        for _ in range(10):
            await asyncio.sleep(0)

    async def end(self):
        self.gate.set()
        return [one.data for one in await asyncio.gather(*self.tasks)]


async def test_one_at_a_time_is_worked_on_for_one_connection():
    asked = Asked(100)
    for _ in range(60):
        asked.ask()
    await asked.settle()
    assert asked.at_work == 1
    assert await asked.end() == [1] * 60


async def test_a_few_at_a_time_are_worked_on_for_one_owner_however_many_connections_it_has():
    asked = Asked(100)
    for number in range(60):
        asked.ask(connection=f"c{number}")
    asked.ask(connection="other", owner="p")
    await asked.settle()
    assert asked.at_work == AT_ONCE + 1
    assert await asked.end() == [1] * 61
    assert not asked.limit._owners


async def test_more_than_the_limit_are_refused_with_a_time_to_come_back():
    asked = Asked(3)
    for _ in range(3):
        asked.ask()
    await asked.settle()
    with pytest.raises(Error) as refused:
        await asked.ask()
    asked.tasks.pop()
    assert (refused.value.code, refused.value.details["retry_after_ms"] > 0) == (RATE_LIMITED, True)
    asked.ask(connection="other", owner="p")
    assert await asked.end() == [1] * 4
    asked.tasks.clear()
    asked.ask()
    assert await asked.end() == [1]


async def test_cancelling_does_not_wait_for_answers_and_resuming_has_its_own_pace():
    asked = Asked(100)
    asked.ask("list")
    asked.ask("list")
    for _ in range(AT_ONCE):
        asked.ask("cancel")
    await asked.settle()
    assert asked.at_work == AT_ONCE
    for _ in range(10):
        asked.ask("resume")
    await asked.settle()
    assert asked.at_work == AT_ONCE + 10
    await asked.end()


async def test_an_answer_to_a_connection_that_has_ended_is_not_made():
    asked = Asked(100)
    asked.turns.gone.add("c1")
    assert (await asked.ask()).data is None
    assert not asked.limit._owners


async def test_sixty_lists_at_once_are_one_after_the_other_over_a_connection(house):
    await house.start()
    at_work = most = 0
    lists = house.store.list

    async def slow(**asked):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        return await lists(**asked)

    house.store.list = slow
    house.router._max_running = 100
    peer = house.peer("c1")
    for number in range(60):
        house.send(peer, action="streamer.list", id=f"l{number}")
    while len(peer.messages) < 60:
        await house.settle()
    assert most == 1


async def test_actions_are_encoded_once_for_all_who_may_use_the_same(house, monkeypatch):
    monkeypatch.setattr(service_actions, "_MAX_ENCODED", 1)
    house.declare("open", lambda _request: 1)
    house.declare("closed", lambda _request: 1, permissions=frozenset({"admin"}))
    await house.start()
    encoded = []
    encode = service_actions.encode_json
    monkeypatch.setattr(service_actions, "encode_json", lambda value: (encoded.append(value), encode(value))[1])
    peer = house.peer("c1")
    for number in range(5):
        house.send(peer, action="streamer.actions", id=f"a{number}")
        await house.settle()
    assert [[one["action"] for one in peer.of(f"a{n}")[0]["data"]["actions"]] for n in range(5)] == [["open"]] * 5
    assert len(encoded) == 1
    house.declare("new", lambda _request: 1)
    house.send(peer, action="streamer.actions", id="again")
    await house.settle()
    assert len(peer.of("again")[0]["data"]["actions"]) == 2
    assert len(encoded) == 2
