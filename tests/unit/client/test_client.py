"""Promises of `StreamerClient`: requests, their ends, progress, status, and what a lost connection means."""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging

import pytest

from streamer.client import (
    ConnectionFailed,
    ConnectionLost,
    InternalError,
    NotFound,
    Overloaded,
    RequestFailed,
    StreamerClient,
    ValidationFailed,
)
from streamer.core.messages import ProgressUpdate, Result


async def echo(service):
    while True:
        request = await service.receive()
        await service.answer(request, request)


async def silence(service):
    await service.receive()


async def one_life(service):
    request = await service.receive()
    await service.acknowledge(request)
    await service.progress(request, 1, 0)
    await service.progress(request, 2, 45.5, metadata={"rows": 1250})
    await service.complete(request, 3, {"url": "a.pdf"}, metadata={"took": 2})


async def test_a_direct_answer_is_returned_as_its_data(fake):
    async with StreamerClient(await fake(echo)) as client:
        data = await client.request("do", {"a": [1]}, id="mine", metadata={"k": "v"}, wait="2s")
    assert data == {"id": "mine", "action": "do", "payload": {"a": [1]}, "metadata": {"k": "v"}, "wait": "2s"}


async def test_what_is_not_given_is_not_sent_and_an_id_is_made(fake):
    async with StreamerClient(await fake(echo)) as client:
        first = await client.request("do")
        second = await client.request("do")
    assert set(first) == {"id", "action"}
    assert first["id"].startswith("req_")
    assert first["id"] != second["id"]


async def test_a_queued_request_reports_its_progress_in_order_and_returns_its_result(fake):
    seen = []
    async with StreamerClient(await fake(one_life)) as client:
        assert await client.request("report", on_progress=seen.append) == {"url": "a.pdf"}
    noon = 1767268800.0
    assert seen == [
        ProgressUpdate(percentage=0.0, message="at 0", timestamp=noon),
        ProgressUpdate(percentage=45.5, message="at 45.5", metadata={"rows": 1250}, timestamp=noon),
    ]


async def test_a_coroutine_function_may_take_the_progress(fake):
    seen = []

    async def later(update):
        await asyncio.sleep(0)
        seen.append(update.percentage)

    async with StreamerClient(await fake(one_life)) as client:
        await client.request("report", on_progress=later)
    assert seen == [0.0, 45.5]


async def test_what_a_progress_callback_raises_comes_out_of_the_request(fake):
    def broken(_update):
        raise LookupError("mine")

    async with StreamerClient(await fake(one_life)) as client:
        with pytest.raises(LookupError, match="mine"):
            await client.request("report", on_progress=broken)


async def test_a_stream_yields_each_report_and_then_the_result(fake):
    async with StreamerClient(await fake(one_life)) as client:
        events = [event async for event in client.stream("report")]
    assert [event.percentage for event in events[:-1]] == [0.0, 45.5]
    assert events[-1] == Result(data={"url": "a.pdf"}, metadata={"took": 2})


async def test_a_stream_of_a_failed_request_raises(fake):
    async def script(service):
        request = await service.receive()
        await service.acknowledge(request)
        await service.progress(request, 1, 10)
        await service.fail(request, "DISK_FULL", "no room", seq=2, retryable=True, details={"free": 0})

    async with StreamerClient(await fake(script)) as client:
        events = client.stream("report", id="mine")
        assert (await anext(events)).percentage == 10.0
        with pytest.raises(RequestFailed) as failed:
            await anext(events)
    error = failed.value
    assert (error.code, error.message, error.details) == ("DISK_FULL", "no room", {"free": 0})
    assert (error.retryable, error.request_id) == (True, "mine")


async def test_an_error_message_is_raised_as_the_exception_of_its_code(fake):
    async def script(service):
        violations = [{"path": "/email", "message": "is missing"}]
        await service.fail(await service.receive(), "VALIDATION_ERROR", "bad", details={"errors": violations})
        await service.fail(await service.receive(), "OVERLOADED", "full", details={"retry_after_ms": 250})

    async with StreamerClient(await fake(script)) as client:
        with pytest.raises(ValidationFailed, match="VALIDATION_ERROR: bad") as refused:
            await client.request("do")
        assert refused.value.violations == [{"path": "/email", "message": "is missing"}]
        with pytest.raises(Overloaded) as failed:
            await client.request("do")
    assert failed.value.retry_after == 0.25


@pytest.mark.parametrize("kind", ["response", "complete"])
async def test_a_result_without_success_is_raised_with_its_data(fake, kind):
    async def script(service):
        request = await service.receive()
        error = {"code": "PARTIAL", "message": "3 of 5 failed"}
        body = {"data": {"ok": 2}} if kind == "response" else {"result": {"ok": 2}, "seq": 1}
        await service.say(type=kind, request_id=request["id"], success=False, error=error, **body)

    async with StreamerClient(await fake(script)) as client:
        with pytest.raises(RequestFailed, match="PARTIAL: 3 of 5 failed") as failed:
            await client.request("do")
    assert failed.value.data == {"ok": 2}


async def test_a_result_without_success_and_without_error_is_an_internal_error(fake):
    async def script(service):
        await service.say(type="response", request_id=(await service.receive())["id"], success=False, data=None)

    async with StreamerClient(await fake(script)) as client:
        with pytest.raises(InternalError, match="gave no reason"):
            await client.request("do")


async def test_many_requests_share_one_connection_and_answers_may_come_in_any_order(fake):
    async def script(service):
        requests = [await service.receive() for _ in range(100)]
        for request in reversed(requests):
            await service.answer(request, request["payload"])

    async with StreamerClient(await fake(script)) as client:
        assert await asyncio.gather(*(client.request("do", n) for n in range(100))) == list(range(100))


async def test_ten_thousand_requests_may_be_under_way_at_once(fake):
    async with StreamerClient(await fake(echo)) as client:
        answers = await asyncio.gather(*(client.request("do", n) for n in range(10_000)))
    assert [answer["payload"] for answer in answers] == list(range(10_000))


async def test_a_payload_larger_than_the_sockets_buffers_waits_for_room(fake):
    async def script(service):
        requests = [await service.receive() for _ in range(20)]
        for request in requests:
            await service.answer(request, len(request["payload"]))

    async with StreamerClient(await fake(script)) as client:
        sizes = await asyncio.gather(*(client.request("do", "x" * 900_000) for _ in range(20)))
    assert sizes == [900_000] * 20


async def test_a_payload_without_a_json_form_is_refused_before_it_is_sent(fake):
    async with StreamerClient(await fake(echo)) as client:
        with pytest.raises(TypeError):
            await client.request("do", {"x": object()})
        assert (await client.request("do", 1))["payload"] == 1


async def test_an_id_that_is_being_waited_for_cannot_be_used_twice(fake):
    async with StreamerClient(await fake(silence)) as client:
        await client.submit("do", id="mine")
        with pytest.raises(ValueError, match="'mine' is already waiting"):
            await client.submit("do", id="mine")


async def test_a_cancelled_task_stops_waiting_and_its_id_may_be_asked_for_again(fake):
    arrived = asyncio.Event()

    async def script(service):
        first = await service.receive()
        arrived.set()
        assert first == await service.receive()
        await service.acknowledge(first)
        await service.complete(first, 1, "done")

    async with StreamerClient(await fake(script)) as client:
        waiting = asyncio.create_task(client.request("do", id="mine"))
        await arrived.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await client.request("do", id="mine") == "done"


async def test_a_timeout_names_the_request_and_says_that_it_may_go_on(fake):
    async with StreamerClient(await fake(silence)) as client:
        with pytest.raises(TimeoutError, match=r"'mine' \(do\) did not end within 0.01 s.*status\('mine'\)"):
            await client.request("do", id="mine", timeout=0.01)


async def test_a_timeout_error_of_the_callback_is_not_taken_for_the_clients_own(fake):
    def slow(_update):
        raise TimeoutError("the callback's own")

    async with StreamerClient(await fake(one_life)) as client:
        with pytest.raises(TimeoutError, match="the callback's own"):
            await client.request("do", on_progress=slow, timeout=60)


async def own_actions(service):
    ping = await service.receive()
    await service.answer(ping, {"pong": True, "was": ping["action"]})
    actions = await service.receive()
    await service.answer(actions, {"actions": [{"action": "echo", "was": actions["action"]}]})
    status = await service.receive()
    await service.answer(status, {"status": "PENDING", "was": [status["action"], status["payload"]]})


async def test_ping_actions_and_status_are_requests_of_the_service_itself(fake):
    async with StreamerClient(await fake(own_actions)) as client:
        assert await client.ping() == {"pong": True, "was": "streamer.ping"}
        assert await client.actions() == [{"action": "echo", "was": "streamer.actions"}]
        assert await client.status("r") == {"status": "PENDING", "was": ["streamer.status", {"request_id": "r"}]}


async def test_a_status_of_anothers_request_is_not_found(fake):
    async def script(service):
        await service.fail(await service.receive(), "NOT_FOUND")

    async with StreamerClient(await fake(script)) as client:
        with pytest.raises(NotFound):
            await client.status("r1")


async def test_a_client_id_is_made_sent_and_kept_over_connections(fake):
    async def script(service):
        await service.answer(await service.receive(), service.query)

    client = StreamerClient(await fake(script) + "?tenant=acme")
    for _ in range(2):
        async with client:
            assert await client.request("who") == {"tenant": ["acme"], "client_id": [client.client_id]}
    assert len(client.client_id) >= 32


async def test_headers_go_out_with_the_upgrade(fake):
    async def script(service):
        await service.answer(await service.receive(), service.connection.request.headers["Authorization"])

    async with StreamerClient(await fake(script), headers={"Authorization": "Bearer x"}) as client:
        assert await client.request("who") == "Bearer x"


async def test_without_reconnecting_a_lost_connection_ends_every_wait_and_says_what_goes_on(fake):
    async def script(service):
        first = await service.receive()
        await service.acknowledge(first)
        await service.receive()
        await service.connection.close(3001, "shutting down")

    async with StreamerClient(await fake(script), reconnect=False) as client:
        one = await client.submit("do", id="one")
        two = await client.submit("do", id="two")
        assert await one.acknowledged()
        for handle in (one, two):
            with pytest.raises(ConnectionLost) as lost:
                await handle.result()
            assert (lost.value.code, lost.value.reason, lost.value.reconnect) == (3001, "shutting down", True)
            assert f"status('{handle.id}')" in str(lost.value)
        assert [update async for update in one] == []
        assert not client.connected
        with pytest.raises(ConnectionLost, match="3001 shutting down"):
            await client.request("do")


async def test_a_connection_that_breaks_without_a_word_is_lost_with_1006(fake):
    async def script(service):
        await service.receive()
        service.connection.transport.abort()

    async with StreamerClient(await fake(script), reconnect=False) as client:
        with pytest.raises(ConnectionLost) as lost:
            await client.request("do")
    assert lost.value.code == 1006


async def test_closing_ends_the_waits_and_the_client_can_connect_again(fake):
    client = StreamerClient(await fake(silence))
    async with client:
        handle = await client.submit("do")
        await client.connect()
    with pytest.raises(ConnectionLost, match="1000 closed by this client"):
        await handle.result()
    await client.close()
    with pytest.raises(ConnectionLost):
        await client.submit("do")
    async with client:
        assert client.connected
        assert "open" in repr(client)
    assert "closed" in repr(client)


async def test_the_first_request_opens_the_connection(fake):
    client = StreamerClient(await fake(echo))
    assert [answer["payload"] for answer in await asyncio.gather(*(client.request("do", n) for n in range(3)))] == [
        0,
        1,
        2,
    ]
    assert client.connected
    await client.close()
    with pytest.raises(ConnectionLost, match="closed by this client"):
        await client.request("do")


async def test_the_first_request_waits_for_a_service_that_is_down(fake):
    refusals = iter([True, True, False])

    def busy(connection, _request):
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "soon") if next(refusals) else None

    states = []
    client = StreamerClient(
        await fake(echo, process_request=busy), max_reconnect_delay=0.01, on_state_change=states.append
    )
    assert (await client.request("do", 1, timeout=60))["payload"] == 1
    await client.close()
    assert [state.name for state in states] == [*["waiting", "connecting"] * 3, "open", "closed"]
    assert [state.tries for state in states[::2]][:3] == [1, 2, 3]
    assert ["503" in state.reason for state in states if state.name == "waiting"] == [False, True, True]


async def test_without_reconnecting_the_first_request_tries_once():
    with pytest.raises(ConnectionFailed, match="is the server running there"):
        await StreamerClient("ws://127.0.0.1:1/ws", reconnect=False).request("do")


async def test_a_client_that_was_closed_before_it_was_used_stays_closed():
    client = StreamerClient("ws://127.0.0.1:1/ws")
    await client.close()
    with pytest.raises(ConnectionLost, match="closed by this client"):
        await client.request("do")


async def test_an_error_without_a_name_fails_the_only_request_that_is_unanswered(fake):
    async def script(service):
        queued = await service.receive()
        await service.acknowledge(queued)
        await service.receive()
        await service.say(type="error", error={"code": "VALIDATION_ERROR", "message": "too deep"})
        await service.complete(queued, 1, "fine")

    async with StreamerClient(await fake(script)) as client:
        queued = await client.submit("do")
        await queued.acknowledged()
        with pytest.raises(ValidationFailed, match="too deep"):
            await client.request("do")
        assert await queued.result() == "fine"


async def test_an_error_without_a_name_among_several_requests_fails_none_and_is_logged(fake, caplog):
    async def script(service):
        requests = [await service.receive(), await service.receive()]
        await service.say(type="error", error={"code": "INTERNAL_ERROR", "message": "which one?"})
        await service.say(message="Internal server error", connectionId="c", requestId="aws")
        await service.say(type="news")
        for request in requests:
            await service.answer(request, "fine")

    with caplog.at_level(logging.WARNING, "streamer.client"):
        async with StreamerClient(await fake(script), reconnect=False) as client:
            assert await asyncio.gather(client.request("do"), client.request("do")) == ["fine", "fine"]
    logged = [record.getMessage() for record in caplog.records if "names no request" in record.getMessage()]
    assert len(logged) == 2
    assert "while 2 requests" in logged[0]
    assert "which one?" in logged[0]
    assert "Internal server error" in logged[1]


async def test_an_error_of_the_gateway_ends_the_only_request_that_waits_where_nothing_is_sent_again(fake):
    async def script(service):
        await service.receive()
        await service.say(message="Internal server error", connectionId="c", requestId="aws")

    async with StreamerClient(await fake(script), reconnect=False) as client:
        with pytest.raises(InternalError, match="Internal server error") as failed:
            await client.request("do", id="mine")
        assert failed.value.request_id == "mine"


async def test_a_connect_that_fails_is_reported_and_the_next_one_is_like_the_first(fake):
    refusals = iter([True, False])

    def busy(connection, _request):
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "soon") if next(refusals) else None

    states = []
    client = StreamerClient(await fake(echo, process_request=busy), on_state_change=states.append)
    with pytest.raises(ConnectionFailed, match="503"):
        await client.connect()
    async with client:
        pass
    assert [state.name for state in states] == ["connecting", "idle", "connecting", "open", "closed"]
    assert "503" in states[1].reason


async def test_a_function_that_failed_in_nobody_knows_which_request_is_asked_again_over_another_connection(fake):
    connections = 0

    async def script(service):
        nonlocal connections
        connections += 1
        requests = [await service.receive(), await service.receive()]
        if connections == 1:
            await service.say(message="Internal server error", connectionId="c", requestId="aws")
            return
        for request in requests:
            await service.answer(request, "fine")

    async with StreamerClient(await fake(script)) as client:
        assert await asyncio.gather(client.request("do"), client.request("do")) == ["fine", "fine"]
    assert connections == 2


async def test_a_request_that_its_function_always_fails_of_fails_in_the_end(fake):
    connections = 0

    async def script(service):
        nonlocal connections
        connections += 1
        await service.receive()
        await service.say(message="Internal server error", connectionId="c", requestId="aws")

    async with StreamerClient(await fake(script), max_reconnect_delay=0.01) as client:
        with pytest.raises(RequestFailed, match="Internal server error, 10 times in a row"):
            await client.request("do")
    assert connections == 10


async def test_what_is_not_a_message_or_not_for_a_waiting_request_is_ignored(fake, caplog):
    async def script(service):
        request = await service.receive()
        await service.connection.send("not json")
        await service.connection.send('{"type": 5}')
        await service.connection.send(b"\x00")
        await service.connection.send('{"type":"progress","seq":1,"request_id":"other","percentage":3}')
        await service.say(type="later", request_id=request["id"])
        await service.answer(request, "fine")

    async with StreamerClient(await fake(script)) as client:
        assert await client.request("do") == "fine"
    assert sum("could not be parsed" in record.getMessage() for record in caplog.records) == 2


async def test_a_connection_refused_is_one_line_with_the_address(unused_port):
    client = StreamerClient(f"ws://127.0.0.1:{unused_port}/ws?token=secret")
    with pytest.raises(ConnectionFailed) as failed:
        await client.connect()
    text = str(failed.value)
    assert text == (
        f"Cannot connect to ws://127.0.0.1:{unused_port}/ws: Connection refused (is the server running there?)"
    )


@pytest.fixture
def unused_port():
    import socket

    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
