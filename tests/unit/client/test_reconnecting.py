"""Promises about broken connections: what is resumed, what is sent again, when the client gives up."""

from __future__ import annotations

import asyncio
import contextlib
import http

import pytest

from streamer.client import (
    Cancelled,
    Conflict,
    ConnectionFailed,
    ConnectionLost,
    NotFound,
    StreamerClient,
    SyncStreamerClient,
)
from streamer.client.connection import Connection
from streamer.client.machine import Options


class FastClock:
    """Sleeps in no time and notes how long it should have been."""

    def __init__(self):
        self.slept = []
        self.time = 0.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await asyncio.sleep(0)


def in_turn(*scripts):
    """A script for each connection, in the order in which they come."""
    left = list(scripts)

    async def play(service):
        await left.pop(0)(service)

    return play


async def cut(service):
    service.connection.transport.abort()


async def resumed(service, after_seq):
    resume = await service.receive()
    assert resume["action"] == "streamer.resume"
    assert resume["payload"].get("after_seq") == after_seq
    return resume, {"id": resume["payload"]["request_id"]}


async def acknowledged_then_cut(service):
    await service.acknowledge(await service.receive())
    await cut(service)


async def completes_when_resumed(service):
    resume, request = await resumed(service, 0)
    await service.complete(request, 5, "done")
    await service.complete(request, 6, "twice")
    await service.answer(resume, {"requests": [request["id"]]})


async def echo(service):
    while True:
        request = await service.receive()
        await service.answer(request, request)


async def test_what_was_not_answered_is_sent_again_word_for_word(fake):
    seen = []

    async def cut_first(service):
        seen.append(await service.receive())
        await cut(service)

    async with StreamerClient(await fake(in_turn(cut_first, echo)), clock=FastClock()) as client:
        assert await client.request("do", {"a": 1}, metadata={"k": "v"}) == seen[0]


async def test_what_was_acknowledged_is_resumed_and_ends_once(fake):
    async with StreamerClient(
        await fake(in_turn(acknowledged_then_cut, completes_when_resumed)), clock=FastClock()
    ) as client:
        assert await client.request("do", id="mine") == "done"


async def test_progress_goes_on_where_it_broke_off_and_nothing_comes_twice(fake):
    async def half(service):
        request = await service.receive()
        await service.acknowledge(request)
        await service.progress(request, 3, 30)
        await read.wait()
        await cut(service)

    async def rest(service):
        resume, request = await resumed(service, 3)
        await service.progress(request, 3, 30)
        await service.answer(resume, {"requests": [request["id"]]})
        await service.progress(request, 4, 40)
        await service.complete(request, 5, "done")

    def note(update):
        seen.append(update.percentage)
        read.set()

    seen, read = [], asyncio.Event()
    async with StreamerClient(await fake(in_turn(half, rest)), clock=FastClock()) as client:
        assert await client.request("do", on_progress=note) == "done"
    assert seen == [30, 40]


@pytest.mark.parametrize("code", [1001, 1013, 3001, 3008])
async def test_close_codes_that_leave_hope_are_survived_with_the_same_client_id(fake, code):
    told = []

    async def close(service):
        await service.receive()
        await service.connection.close(code, "bye")

    async def who(service):
        await service.answer(await service.receive(), service.query["client_id"])

    client = StreamerClient(await fake(in_turn(close, who)), clock=FastClock(), on_reconnect=lambda: told.append(1))
    async with client:
        assert await client.request("do") == [client.client_id]
    assert told == [1]


@pytest.mark.parametrize("code", [1008, 3500, 3501])
async def test_close_codes_that_forbid_it_end_the_waiting(fake, code):
    async def close(service):
        await service.receive()
        await service.connection.close(code, "no")

    async with StreamerClient(await fake(in_turn(close)), clock=FastClock()) as client:
        for _ in range(2):
            with pytest.raises(ConnectionLost) as lost:
                await client.request("do")
            assert lost.value.code == code


async def refusing(fake, status, times, *scripts):
    """A service that lets the first connection in and then refuses so many times."""
    tries = []

    def check(connection, request):
        tries.append(1)
        return connection.respond(http.HTTPStatus(status), "") if 1 < len(tries) <= 1 + times else None

    return await fake(in_turn(*scripts), process_request=check)


async def test_a_service_that_refuses_twice_for_now_is_tried_with_growing_jittered_delays(fake):
    clock = FastClock()
    url = await refusing(fake, 503, 2, acknowledged_then_cut, completes_when_resumed)
    async with StreamerClient(url, clock=clock) as client:
        assert await client.request("do") == "done"
    assert len(clock.slept) == 2
    assert clock.slept[0] <= 0.5
    assert clock.slept[1] <= 1.0


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_for_good_fails_all_that_wait_and_all_that_asks_later(fake, status):
    url = await refusing(fake, status, 5, acknowledged_then_cut)
    async with StreamerClient(url, clock=FastClock()) as client:
        handles = [await client.submit("do"), await client.submit("do")]
        for handle in handles:
            with pytest.raises(ConnectionFailed) as failed:
                await handle
            assert failed.value.status == status
        with pytest.raises(ConnectionFailed):
            await client.request("do")


async def test_a_request_that_the_service_no_longer_knows_fails_with_not_found(fake):
    async def unknown(service):
        resume, _ = await resumed(service, 0)
        await service.fail(resume, "NOT_FOUND")

    async with StreamerClient(await fake(in_turn(acknowledged_then_cut, unknown)), clock=FastClock()) as client:
        with pytest.raises(NotFound) as failed:
            await client.request("do", id="mine")
    assert failed.value.request_id == "mine"


async def test_a_resumption_that_comes_too_fast_is_asked_for_again(fake):
    clock = FastClock()

    async def busy(service):
        resume, _ = await resumed(service, 0)
        await service.fail(resume, "RATE_LIMITED", details={"retry_after_ms": 7000})
        await completes_when_resumed(service)

    async with StreamerClient(await fake(in_turn(acknowledged_then_cut, busy)), clock=clock) as client:
        assert await client.request("do") == "done"
    assert clock.slept == [7.0]


@pytest.mark.parametrize("where", ["client", "request"])
async def test_what_must_not_be_sent_twice_is_lost(fake, where):
    async def cut_first(service):
        await service.receive()
        await cut(service)

    options = {"resend": False} if where == "client" else {}
    more = {"resend": False} if where == "request" else {}
    async with StreamerClient(await fake(in_turn(cut_first, echo)), clock=FastClock(), **options) as client:
        with pytest.raises(ConnectionLost):
            await client.request("do", **more)
        assert (await client.request("do", 1))["payload"] == 1


async def test_a_broken_connection_is_opened_when_it_is_asked_for_and_a_broken_callback_does_no_harm(fake, caplog):
    async def answer_and_close(service):
        await service.answer(await service.receive(), 1)
        await service.connection.close(3001)

    def broken():
        raise LookupError

    client = StreamerClient(await fake(in_turn(answer_and_close, echo)), clock=FastClock(), on_reconnect=broken)
    async with client:
        await client.request("do")
        while client.connected:
            await asyncio.sleep(0)
        assert (await client.request("do", 2))["payload"] == 2
    assert "on_reconnect failed" in caplog.text


async def test_closing_ends_the_trying(fake):
    class Stuck(FastClock):
        async def sleep(self, seconds):
            stuck.set()
            await asyncio.Event().wait()

    stuck = asyncio.Event()
    url = await refusing(fake, 503, 9, acknowledged_then_cut)
    client = StreamerClient(url, clock=Stuck())
    await client.connect()
    handle = await client.submit("do")
    await stuck.wait()
    asking = asyncio.create_task(client.request("do"))
    await asyncio.sleep(0)
    await client.close()
    for waiting in (handle, asking):
        with pytest.raises(ConnectionLost, match="closed by this client"):
            await waiting


async def test_closing_while_it_connects_for_the_first_time_leaves_no_connection(fake):
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def slow(connection, _request):
        arrived.set()
        await connection.wait_closed()
        gone.set()

    client = StreamerClient(await fake(echo, process_request=slow))
    connecting = asyncio.create_task(client.connect())
    await arrived.wait()
    await client.close()
    with pytest.raises(ConnectionLost, match="closed by this client"):
        await connecting
    await gone.wait()
    assert not client.connected


async def test_closing_wins_whenever_it_comes_while_it_connects(fake):
    ended = asyncio.Semaphore(0)

    async def noticed(service):
        await service.connection.wait_closed()
        ended.release()

    url = await fake(noticed)
    opened = 0
    for turns in range(1, 80, 2):
        client = StreamerClient(url)
        connecting = asyncio.create_task(client.connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        opened += client.connected
        await client.close()
        outcome = (await asyncio.gather(connecting, return_exceptions=True))[0]
        assert outcome is None or isinstance(outcome, ConnectionLost)
        assert not client.connected
    for _ in range(opened):
        await ended.acquire()


async def test_connecting_that_is_cancelled_leaves_no_connection_and_can_be_begun_anew(fake):
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def first_slow(connection, _request):
        if not arrived.is_set():
            arrived.set()
            await connection.wait_closed()
            gone.set()

    client = StreamerClient(await fake(echo, process_request=first_slow))
    connecting = asyncio.create_task(client.connect())
    await arrived.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert not client.connected
    await gone.wait()
    async with client:
        assert (await client.request("do", 1))["payload"] == 1


def connection_over(open_socket):
    return Connection(
        "ws://h/ws",
        open_socket,
        Options(),
        max_message_size=1000,
        on_open=lambda: None,
        on_end=lambda: None,
        on_reconnect=None,
        on_state_change=None,
        clock=FastClock(),
    )


class FakeSocket:
    """A socket that needs no network; it says that it has ended when it is told to."""

    full = False
    process = None
    refused = False

    def __init__(self, *, ended=False):
        self.ended = ended
        self.dropped = False

    def drop(self):
        self.dropped = True


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_a_connection_that_comes_when_nobody_wants_it_any_more_is_dropped(how):
    begun, come, socket = asyncio.Event(), asyncio.Event(), FakeSocket()

    async def open_socket(_make):
        begun.set()
        while not come.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await come.wait()
        return socket

    connection = connection_over(open_socket)
    connecting = asyncio.create_task(connection.connect())
    await begun.wait()
    if how == "closed":
        await connection.close()
    else:
        connecting.cancel()
    outcome = (await asyncio.gather(connecting, return_exceptions=True))[0]
    assert isinstance(outcome, ConnectionLost if how == "closed" else asyncio.CancelledError)
    come.set()
    while not socket.dropped:
        await asyncio.sleep(0)
    assert connection.socket is None


async def test_what_a_try_that_nobody_wants_any_more_ends_with_is_not_heard():
    begun, come = asyncio.Event(), asyncio.Event()
    tasks = []

    async def open_socket(_make):
        tasks.append(asyncio.current_task())
        begun.set()
        while not come.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await come.wait()
        raise ConnectionFailed("ws://h/ws", "too late")

    connection = connection_over(open_socket)
    connecting = asyncio.create_task(connection.connect())
    await begun.wait()
    await connection.close()
    with pytest.raises(ConnectionLost):
        await connecting
    come.set()
    await asyncio.wait(tasks)
    with pytest.raises(ConnectionLost, match="closed by this client"):
        await connection.ready()


async def test_a_connection_that_ends_before_anybody_has_it_is_opened_again_for_a_caller_that_waits():
    tries = []

    async def open_socket(make):
        tries.append(1)
        if len(tries) < 3:
            make()._on_end(3001, "going down")
        return FakeSocket(ended=len(tries) < 3)

    connection = connection_over(open_socket)
    await connection.connect()
    assert connection.socket is None
    assert (await connection.ready()) is connection.socket
    assert len(tries) == 3


async def test_an_error_that_nobody_foresaw_ends_the_try_and_comes_out_as_the_cause():
    async def open_socket(_make):
        raise TypeError("ssl must be a context")

    connection = connection_over(open_socket)
    for use in (connection.connect, connection.ready):
        with pytest.raises(ConnectionFailed, match="TypeError: ssl must be a context") as failed:
            await use()
        assert isinstance(failed.value.__cause__, TypeError)


async def test_of_two_that_connect_at_once_and_are_closed_both_are_told(fake):
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def slow(_connection, _request):
        arrived.set()
        await answer.wait()

    client = StreamerClient(await fake(echo, process_request=slow))
    connecting = [asyncio.create_task(client.connect()) for _ in range(2)]
    await arrived.wait()
    await client.close()
    for one in connecting:
        with pytest.raises(ConnectionLost, match="closed by this client"):
            await one
    answer.set()


async def cancellable(service):
    request = await service.receive()
    await service.acknowledge(request)
    cancel = await service.receive()
    assert (cancel["action"], cancel["payload"]) == ("streamer.cancel", {"request_id": request["id"]})
    await service.answer(cancel, {"request_id": request["id"], "status": "CANCELLED"})
    await service.fail(request, "CANCELLED", seq=1)


async def test_a_handle_can_cancel_its_request_even_before_it_is_acknowledged(fake):
    async with StreamerClient(await fake(cancellable)) as client:
        handle = await client.submit("do", id="mine")
        assert await handle.cancel() == {"request_id": "mine", "status": "CANCELLED"}
        with pytest.raises(Cancelled):
            await handle
        with pytest.raises(Conflict, match="already ended"):
            await handle.cancel()


async def test_a_cancelled_task_cancels_its_queued_request(fake):
    cancelled = asyncio.Event()

    async def script(service):
        await cancellable(service)
        cancelled.set()

    async with StreamerClient(await fake(script)) as client:
        going = asyncio.create_task(client.request("do"))
        await asyncio.sleep(0)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        await cancelled.wait()


async def test_a_cancelled_task_cancels_its_request_over_the_next_connection_where_this_one_breaks(fake):
    arrived, cancelled = asyncio.Event(), asyncio.Event()

    async def breaks(service):
        await service.receive()
        arrived.set()
        await going_is_cancelled.wait()
        await cut(service)

    async def is_asked_to_cancel(service):
        asked = await service.receive()
        assert (asked["action"], asked["payload"]) == ("streamer.cancel", {"request_id": "mine"})
        cancelled.set()

    going_is_cancelled = asyncio.Event()
    async with StreamerClient(await fake(in_turn(breaks, is_asked_to_cancel)), clock=FastClock()) as client:
        going = asyncio.create_task(client.request("do", id="mine"))
        await arrived.wait()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        going_is_cancelled.set()
        await cancelled.wait()


async def test_two_that_connect_at_once_share_one_try(fake):
    tries = []

    def refuse(connection, _request):
        tries.append(1)
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "")

    client = StreamerClient(await fake(echo, process_request=refuse))
    outcomes = await asyncio.gather(client.connect(), client.connect(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionFailed] * 2
    assert len(tries) == 1


async def test_of_two_that_connect_one_may_give_up(fake):
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def slow(_connection, _request):
        arrived.set()
        await answer.wait()

    client = StreamerClient(await fake(echo, process_request=slow))
    first, second = (asyncio.create_task(client.connect()) for _ in range(2))
    await arrived.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    answer.set()
    await second
    assert client.connected
    await client.close()


async def test_a_lost_request_cannot_be_cancelled(fake):
    async with StreamerClient(await fake(in_turn(acknowledged_then_cut)), reconnect=False) as client:
        handle = await client.submit("do")
        with pytest.raises(ConnectionLost):
            await handle
        with pytest.raises(ConnectionLost):
            await handle.cancel()


async def test_a_request_of_an_earlier_process_can_be_taken_up(fake):
    async def script(service):
        resume, request = await resumed(service, None)
        await service.answer(resume, {"requests": [request["id"]]})
        await service.complete(request, 5, "done")
        resume, _ = await resumed(service, None)
        await service.fail(resume, "NOT_FOUND")

    async with StreamerClient(await fake(script)) as client:
        assert await (await client.resume("old")) == "done"
        with pytest.raises(NotFound):
            await client.resume("other")


def test_the_blocking_twin_resumes_lists_and_cancels(fake_in_thread):
    async def script(service):
        resume, request = await resumed(service, None)
        await service.answer(resume, {"requests": [request["id"]]})
        for _ in range(3):
            asked = await service.receive()
            await service.answer(asked, [asked["action"], asked["payload"]])

    with SyncStreamerClient(fake_in_thread(script)) as client:
        handle = client.resume("old")
        assert handle.cancel() == ["streamer.cancel", {"request_id": "old"}]
        assert client.cancel("r") == ["streamer.cancel", {"request_id": "r"}]
        assert client.list(limit=5) == ["streamer.list", {"limit": 5}]


def test_a_delay_of_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        StreamerClient("ws://127.0.0.1:1/ws", max_reconnect_delay=0)
