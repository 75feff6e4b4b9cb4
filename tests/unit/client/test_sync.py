"""Promises of the blocking twin."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamer.client import ConnectionFailed, ConnectionLost, RequestFailed, SyncStreamerClient
from streamer.core.messages import Result


async def echo(service):
    while True:
        request = await service.receive()
        await service.answer(request, request)


async def lives(service):
    while True:
        request = await service.receive()
        await service.acknowledge(request)
        await service.progress(request, 1, 0)
        await service.progress(request, 2, 50)
        await service.complete(request, 3, request.get("payload"))


async def failing(service):
    while True:
        await service.fail(await service.receive(), "BAD")


async def acknowledge_only(service):
    while True:
        await service.acknowledge(await service.receive())


def test_a_request_blocks_until_its_data_is_there(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(echo), client_id="me") as client:
        answer = client.request("do", {"a": 1}, id="i", metadata={"k": "v"}, wait=0)
        assert client.connected
        assert "open" in repr(client)
    assert answer == {"id": "i", "action": "do", "payload": {"a": 1}, "metadata": {"k": "v"}, "wait": 0}
    assert client.client_id == "me"
    assert not client.connected


def test_progress_is_reported_in_the_callers_thread(fake_in_thread):
    seen = []

    def note(update):
        seen.append((update.percentage, threading.current_thread()))

    with SyncStreamerClient(fake_in_thread(lives)) as client:
        assert client.request("do", 7, on_progress=note, timeout=60) == 7
    assert seen == [(0.0, threading.current_thread()), (50.0, threading.current_thread())]


def test_what_a_callback_raises_comes_out_and_the_client_lives(fake_in_thread):
    def broken(_update):
        raise LookupError("mine")

    with SyncStreamerClient(fake_in_thread(lives)) as client:
        with pytest.raises(LookupError, match="mine"):
            client.request("do", on_progress=broken)
        assert client.request("do", 1) == 1


def test_errors_are_the_same_exceptions(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(failing)) as client:
        for on_progress in (None, print):
            with pytest.raises(RequestFailed, match="BAD"):
                client.request("do", on_progress=on_progress)


def test_a_timeout_is_a_timeout_error(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(acknowledge_only)) as client:
        for on_progress in (None, print):
            with pytest.raises(TimeoutError, match="did not end within"):
                client.request("do", on_progress=on_progress, timeout=0.01)


def test_a_stream_yields_each_report_and_then_the_result(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(lives)) as client:
        *reports, result = client.stream("do", 7)
        assert [report.percentage for report in reports] == [0.0, 50.0]
        assert result == Result(data=7)


def test_a_stream_that_is_left_early_stops_listening_only(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(lives)) as client:
        for event in client.stream("do", 7):
            assert event.percentage == 0.0
            break
        gc.collect()
        assert client.request("do", 8) == 8


def test_a_handle_waits_for_each_stage(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(lives)) as client:
        handle = client.submit("do", 7, id="mine")
        assert handle.acknowledged()
        assert [update.percentage for update in handle] == [0.0, 50.0]
        assert (handle.id, handle.result(), handle.outcome().data, handle.done) == ("mine", 7, 7, True)
        assert "'mine', ended" in repr(handle)


def test_ping_actions_and_status_ask_the_service_itself(fake_in_thread):
    async def script(service):
        await service.answer(await service.receive(), "pong")
        await service.answer(await service.receive(), {"actions": [{"action": "echo"}]})
        status = await service.receive()
        await service.answer(status, status["payload"])

    with SyncStreamerClient(fake_in_thread(script)) as client:
        assert (client.ping(), client.actions()) == ("pong", [{"action": "echo"}])
        assert client.status("r") == {"request_id": "r"}


def test_many_threads_may_share_one_client(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(echo)) as client, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda n: client.request("do", n)["payload"], range(200))
        assert list(answers) == list(range(200))


def test_closing_ends_the_waits_and_what_they_ended_with_can_still_be_read(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(lives)) as client:
        ended = client.submit("do", 7)
        ended.result()
    assert ended.result() == 7
    with SyncStreamerClient(fake_in_thread(acknowledge_only)) as client:
        waiting = client.submit("do")
    with pytest.raises(ConnectionLost, match="closed by this client"):
        waiting.result()
    with pytest.raises(ConnectionLost, match="closed by this client"):
        client.request("do")
    client.close()


def test_closing_from_another_thread_ends_a_connecting_that_hangs(fake_in_thread):
    arrived = threading.Event()

    async def slow(connection, _request):
        arrived.set()
        await connection.wait_closed()

    client = SyncStreamerClient(fake_in_thread(lambda _service: None, process_request=slow))
    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(client.connect)
        arrived.wait()
        client.close()
        with pytest.raises(ConnectionLost, match="closed by this client"):
            connecting.result(30)
    assert not client.connected


def test_a_failed_connection_leaves_no_thread_behind():
    before = threading.active_count()
    with pytest.raises(ConnectionFailed):
        SyncStreamerClient("ws://127.0.0.1:1/ws").connect()
    assert threading.active_count() == before


def test_after_a_failed_connection_a_request_opens_one_as_soon_as_there_is_a_service(fake_in_thread):
    refusals = [503]

    def refuse(connection, _request):
        return connection.respond(refusals.pop(), "not yet") if refusals else None

    async def echo(service):
        while True:
            request = await service.receive()
            await service.answer(request, request["payload"])

    client = SyncStreamerClient(fake_in_thread(echo, process_request=refuse), max_reconnect_delay=0.01)
    for first in (True, False):
        refusals[:] = [503]
        with pytest.raises(ConnectionFailed):
            client.connect()
        assert client.request("do", first) is first
        client.close()


def test_a_connecting_that_fails_does_not_end_what_other_threads_wait_for(fake_in_thread):
    waits, is_up = threading.Event(), threading.Event()

    def refuse(connection, _request):
        return None if is_up.is_set() else connection.respond(503, "not yet")

    def watch(state):
        if state.name == "waiting":
            waits.set()

    async def answer(service):
        await service.answer(await service.receive(), "answered")

    url = fake_in_thread(answer, process_request=refuse)
    client = SyncStreamerClient(url, max_reconnect_delay=0.01, on_state_change=watch)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.request, "do")
        waits.wait()
        with pytest.raises(ConnectionFailed):
            client.connect()
        is_up.set()
        assert waiting.result() == "answered"
    client.close()


def test_what_a_request_ended_with_can_be_had_after_the_client_was_closed_inside_a_loop_too(fake_in_thread):
    with SyncStreamerClient(fake_in_thread(lives)) as client:
        handle = client.submit("do", 7)
        assert handle.result() == 7

    async def notebook():
        return handle.result()

    assert asyncio.run(notebook()) == 7


def test_closing_while_other_threads_wait_ends_their_waits(fake_in_thread):
    arrived = threading.Event()

    async def script(service):
        await service.receive()
        arrived.set()

    client = SyncStreamerClient(fake_in_thread(script))
    client.connect()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.request, "do")
        arrived.wait()
        client.close()
        with pytest.raises(ConnectionLost):
            waiting.result()
