"""Promises about requests that end their connections: each is found, ends alone, and the others go on."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter

import pytest

from streamer.client import ConnectionLost, MessageTooLarge, NotAnswered, StreamerClient
from streamer.client.machine.state import MOST_OUTLIVED, MOST_SHARED

LIMIT = 2000


class Service:
    """A service that stores queued requests over connections, and kills the connection at some of the names."""

    def __init__(self, *, large=(), deadly=(), queued=(), kinds=None):
        self.large, self.deadly, self.queued = set(large), set(deadly), set(queued)
        self.runs = Counter()
        self.connections = 0
        self.stored = set()

    async def __call__(self, service):
        self.connections += 1
        while True:
            request = await service.receive()
            await self._take(service, request)

    async def _take(self, service, request):
        name = request["id"]
        if request["action"] == "streamer.resume":
            await self._end(service, {"id": request["payload"]["request_id"]})
            await service.answer(request, {})
            return
        self.runs[name] += 1
        if name in self.deadly:
            service.connection.transport.abort()
            await service.connection.wait_closed()
        elif name in self.queued:
            self.stored.add(name)
            await service.acknowledge(request)
            await self._end(service, request)
        else:
            await service.answer(request, self._result(name))

    async def _end(self, service, request):
        await service.complete(request, 5, self._result(request["id"]))

    def _result(self, name):
        return "x" * LIMIT * 2 if name in self.large else name


async def outcomes(client, names):
    return dict(
        zip(
            names,
            await asyncio.gather(*(client.request("do", id=name) for name in names), return_exceptions=True),
            strict=True,
        )
    )


@pytest.fixture
def connected(fake):
    async def connect(service, **options):
        options = {"max_message_size": LIMIT, "max_reconnect_delay": 0.01, **options}
        return StreamerClient(await fake(service), **options)

    return connect


@pytest.mark.parametrize("queued", [True, False])
async def test_an_answer_that_is_too_large_ends_its_request_after_one_run(connected, queued):
    service = Service(large=["big"], queued=["big"] if queued else [])
    async with await connected(service) as client:
        with pytest.raises(MessageTooLarge, match="raise max_message_size") as raised:
            await client.request("do", id="big")
        assert raised.value.request_id == "big"
        assert await client.request("do", id="small") == "small"
    assert service.runs == {"big": 1, "small": 1}


@pytest.mark.parametrize("queued", ["none", "all", "the large ones", "the others"])
async def test_among_many_requests_those_with_an_answer_too_large_are_found_and_the_others_go_on(connected, queued):
    large = {"r3", "r4", "r9"}
    names = [f"r{n}" for n in range(12)]
    stored = {"none": [], "all": names, "the large ones": large, "the others": set(names) - large}[queued]
    service = Service(large=large, queued=stored)
    async with await connected(service) as client:
        ends = await outcomes(client, names)
        assert {name for name, end in ends.items() if isinstance(end, MessageTooLarge)} == large
        assert {name for name, end in ends.items() if end == name} == set(names) - large
    assert max(service.runs[name] for name in large) <= 2


async def test_what_is_asked_while_the_cause_is_looked_for_waits_for_its_turn_and_is_answered(connected):
    service = Service(large=["r0", "r5"])
    states = []
    async with await connected(service, on_state_change=states.append) as client:
        first = asyncio.gather(*(client.request("do", id=f"r{n}") for n in range(6)), return_exceptions=True)
        while sum(state.name == "open" for state in states) < 2:
            await asyncio.sleep(0)
        late = await asyncio.gather(*(client.request("do", id=f"late{n}") for n in range(20)))
        assert late == [f"late{n}" for n in range(20)]
        ends = await first
    assert [isinstance(end, MessageTooLarge) for end in ends] == [True, False, False, False, False, True]


async def test_what_goes_on_beside_many_answers_that_are_too_large_is_never_taken_for_the_cause(connected):
    names = [f"r{n}" for n in range(MOST_SHARED + 2)]
    service = Service(large=names)
    going = {}

    async def script(connection):
        while True:
            request = await connection.receive()
            if request["id"] == "long":
                await connection.acknowledge(request)
            elif request["action"] == "streamer.resume":
                await connection.answer(request, {})
                going[request["payload"]["request_id"]] = connection
            else:
                await service._take(connection, request)

    async with await connected(script) as client:
        long = await client.submit("do", id="long")
        assert await long.acknowledged()
        for name in names:
            with pytest.raises(MessageTooLarge, match=name):
                await client.request("do", id=name)
        assert not long.done
        await client.request("do", id="small")  # the connection is open again, and has asked after the long one
        await going["long"].complete({"id": "long"}, 5, "its result")
        assert await long == "its result"
    assert max(service.runs[name] for name in names) == 2


@pytest.mark.parametrize("size", [100, LIMIT * 3])
async def test_a_status_over_the_limit_ends_the_asking_only(connected, fake, size):
    async def script(service):
        while True:
            await service.answer(await service.receive(), "x" * size)

    async with await connected(script) as client:
        if size > LIMIT:
            with pytest.raises(MessageTooLarge):
                await client.status("r")
        else:
            assert await client.status("r") == "x" * size


async def test_of_requests_over_the_services_limit_the_largest_ends_first_and_the_rest_is_sent_again(connected, fake):
    async def script(service):
        while True:
            request = await service.receive()
            await service.answer(request, len(request["payload"]))

    client = StreamerClient(await fake(script, max_size=1000), max_reconnect_delay=0.01)
    async with client:
        sizes = [10, 5000, 900, 20, 3000]
        ends = await asyncio.gather(*(client.request("do", "x" * size) for size in sizes), return_exceptions=True)
    assert [end if isinstance(end, int) else type(end) for end in ends] == [
        10,
        MessageTooLarge,
        900,
        20,
        MessageTooLarge,
    ]
    assert "the service does not accept a message of 5,0" in str(ends[1])
    assert "server.max_message_size" in str(ends[1])


async def test_a_request_for_which_connection_after_connection_ends_is_given_up_after_three(connected, caplog):
    service = Service(deadly=["kill"])
    async with await connected(service) as client:
        with pytest.raises(NotAnswered, match="it was sent 3 times to ws://.*may have run it each time") as raised:
            await client.request("do", id="kill")
        assert isinstance(raised.value, ConnectionLost)
        assert (raised.value.times, raised.value.request_id, raised.value.reconnect) == (3, "kill", False)
        assert await client.request("do", id="fine") == "fine"
    assert service.runs == {"kill": 3, "fine": 1}


async def test_what_shares_the_connections_of_a_deadly_request_is_answered(connected):
    names = [f"r{n}" for n in range(10)]
    service = Service(deadly=["r0", "r4"])
    async with await connected(service) as client:
        ends = await outcomes(client, names)
    assert {name for name, end in ends.items() if isinstance(end, NotAnswered)} == {"r0", "r4"}
    assert all(ends[name] == name for name in names if name not in service.deadly)
    assert service.runs["r0"] <= 4
    assert service.runs["r4"] <= 4


def named(processes):
    """A service that names its process in each handshake."""

    def name(_connection, _request, response):
        response.headers["Streamer-Process"] = next(processes)

    return {"process_response": name}


@pytest.mark.parametrize("shared", [False, True])
async def test_where_the_process_dies_each_time_the_request_is_given_up_after_three(fake, shared):
    service = Service(deadly=["kill"])
    names = ["kill", "a", "b"] if shared else ["kill"]
    url = await fake(service, **named(f"process {n}" for n in range(99)))
    async with StreamerClient(url, max_reconnect_delay=0.01) as client:
        ends = await outcomes(client, names)
        assert isinstance(ends["kill"], NotAnswered)
        assert service.runs["kill"] == 3
        assert all(ends[name] == name for name in names[1:])


async def test_where_the_process_outlives_the_connections_the_network_is_borne_for_longer(fake):
    cuts = []

    async def script(service):
        request = await service.receive()
        if len(cuts) < MOST_OUTLIVED - 1:
            cuts.append(request)
            service.connection.transport.abort()
        else:
            await service.answer(request, 1)

    url = await fake(script, **named(iter(lambda: "the same", None)))
    async with StreamerClient(url, max_reconnect_delay=0.01) as client:
        assert await client.request("do") == 1

    service = Service(deadly=["cut"])
    url = await fake(service, **named(iter(lambda: "the same", None)))
    async with StreamerClient(url, max_reconnect_delay=0.01) as client:
        with pytest.raises(NotAnswered, match="it was sent 5 times"):
            await client.request("do", id="cut")
        assert await client.request("do", id="fine") == "fine"


@pytest.mark.parametrize(("code", "times"), [(1000, 3), (1001, 10), (1011, 3), (3000, 3), (3008, 3)])
async def test_a_request_that_is_answered_by_a_close_alone_is_given_up_too(connected, code, times):
    """Later where a gateway closes in good order: its connections end whatever they carry."""
    runs = []

    async def script(service):
        runs.append(await service.receive())
        await service.connection.close(code)

    async with await connected(script) as client:
        with pytest.raises(NotAnswered, match=f"most recently with {code}"):
            await client.request("do")
    assert len(runs) == times


@pytest.mark.parametrize("code", [1012, 1013, 3001])
async def test_a_service_that_goes_down_for_reasons_of_its_own_does_not_count(connected, code):
    runs = []

    async def script(service):
        request = await service.receive()
        runs.append(request)
        if len(runs) == 6:
            await service.answer(request, "at last")
        else:
            await service.connection.close(code)

    async with await connected(script) as client:
        assert await client.request("do") == "at last"


async def test_a_request_that_must_not_be_sent_twice_is_lost_at_once(connected):
    service = Service(deadly=["kill"])
    async with await connected(service, resend=False) as client:
        with pytest.raises(ConnectionLost) as raised:
            await client.request("do", id="kill")
        assert not isinstance(raised.value, NotAnswered)
    assert service.runs == {"kill": 1}


async def test_a_stored_request_is_asked_after_for_longer_but_not_without_end(connected):
    asked = []

    async def script(service):
        request = await service.receive()
        if request["action"] == "do":
            await service.acknowledge(request)
        else:
            asked.append(request)
        service.connection.transport.abort()

    async with await connected(script) as client:
        handle = await client.submit("do", id="r")
        with pytest.raises(NotAnswered, match=r"is queued and continues.*10 times.*then ask status\('r'\)") as raised:
            await handle
    assert raised.value.stored
    assert len(asked) == MOST_SHARED


async def test_a_request_that_is_never_answered_holds_the_others_up_for_a_while_only(connected, monkeypatch):
    monkeypatch.setattr("streamer.client.machine.sending.TURN", 50)
    cuts = []

    async def script(service):
        while True:
            request = await service.receive()
            if request["id"] != "mute":
                await service.answer(request, 1)
            elif len(cuts) < 2:
                cuts.append(request)
                service.connection.transport.abort()

    async with await connected(script) as client:
        mute = await client.submit("do", id="mute")
        while len(cuts) < 2 or not client.connected:
            await asyncio.sleep(0)
        assert await client.request("do", id="other", timeout=60) == 1
        assert not mute.done


async def test_a_deadly_request_that_nobody_waits_for_any_more_is_blamed_on_nobody_else(connected):
    async def script(service):
        first = await service.receive()
        if first["id"] == "left":
            await service.receive()
            await service.answer(first, "x" * LIMIT * 2)
        while True:
            await service.answer(first, 1)
            first = await service.receive()

    async with await connected(script) as client:
        with pytest.raises(TimeoutError):
            await client.request("do", id="left", timeout=0.01)
        assert await client.request("do", id="other") == 1


@pytest.mark.parametrize(
    "error",
    [
        NotAnswered("ws://h/ws", 1006, "gone", request_id="r", times=3),
        MessageTooLarge("ws://h/ws", request_id="r", limit=5),
        MessageTooLarge("ws://h/ws", "too large", request_id="r", sent=5),
    ],
)
def test_the_errors_can_be_pickled(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
