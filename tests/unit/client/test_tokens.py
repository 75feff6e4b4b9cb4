"""The proof of who asks: brought to each handshake, renewed before it runs out, asked for anew where it was refused."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http
import json
import logging
from functools import partial

import pytest

from streamer.client import ConnectionFailed, ConnectionLost, StreamerClient, SyncStreamerClient, Unauthorized
from streamer.client.tokens import Tokens, UnusableToken, answered_expiry, expiry
from streamer.core.clock import timestamp
from streamer.testing import ManualClock
from streamer.testing.clock import settle


def jwt(claims):
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


class Guard:
    """Lets handshakes in whose token is right, and notes all that it saw."""

    def __init__(self, *good):
        self.good = set(good)
        self.seen = []

    def __call__(self, connection, request):
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.seen.append(token)
        return None if token in self.good else connection.respond(http.HTTPStatus.UNAUTHORIZED, "no\n")


def counting(*tokens):
    left = list(tokens)
    return lambda: left.pop(0)


async def echo(service):
    while True:
        request = await service.receive()
        await service.answer(request, request.get("payload"))


async def test_a_token_is_sent_with_the_handshake_and_never_in_the_address(fake):
    guard = Guard("secret")
    async with StreamerClient(await fake(echo, process_request=guard), token="secret") as client:
        assert await client.request("do", 1) == 1
        assert "secret" not in repr(client)
    assert guard.seen == ["secret"]


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_a_function_is_asked_before_each_handshake(fake, kind):
    guard = Guard("t1", "t2")
    bring = counting("t1", "t2")

    async def later():
        return bring()

    cuts = []

    async def once(service):
        if not cuts:
            cuts.append(await service.receive())
            service.connection.transport.abort()
        else:
            await echo(service)

    url = await fake(once, process_request=guard)
    async with StreamerClient(url, token=bring if kind == "plain" else later) as client:
        assert await client.request("do", 1) == 1
    assert guard.seen == ["t1", "t2"]


async def test_a_refused_token_is_asked_for_once_more(fake):
    guard = Guard("t2")
    async with StreamerClient(await fake(echo, process_request=guard), token=counting("t1", "t2")) as client:
        assert await client.request("do", 1) == 1
    assert guard.seen == ["t1", "t2"]


async def test_a_second_refusal_is_told(fake):
    guard = Guard()
    with pytest.raises(ConnectionFailed, match="401") as failed:
        await StreamerClient(await fake(echo, process_request=guard), token=counting("t1", "t2")).connect()
    assert failed.value.status == 401
    assert guard.seen == ["t1", "t2"]


async def test_a_token_that_is_no_function_is_tried_once(fake):
    guard = Guard()
    with pytest.raises(ConnectionFailed):
        await StreamerClient(await fake(echo, process_request=guard), token="t1").connect()
    assert guard.seen == ["t1"]


async def test_other_refusals_do_not_cost_a_second_token(fake):
    def forbids(connection, _request):
        return connection.respond(http.HTTPStatus.FORBIDDEN, "")

    with pytest.raises(ConnectionFailed, match="403"):
        await StreamerClient(await fake(echo, process_request=forbids), token=counting("t1")).connect()


async def test_a_connection_whose_token_ran_out_is_opened_again_where_there_is_a_fresh_one(fake):
    guard = Guard("t1", "t2")
    closed = []

    async def expires(service):
        if not closed:
            closed.append(await service.receive())
            await service.connection.close(3500, "the token has expired")
        else:
            await echo(service)

    url = await fake(expires, process_request=guard)
    async with StreamerClient(url, token=counting("t1", "t2")) as client:
        assert await client.request("do", 1) == 1
    closed.clear()
    async with StreamerClient(url, token="t1") as client:
        with pytest.raises(ConnectionLost) as lost:
            await client.request("do", 1)
        assert lost.value.code == 3500


async def test_a_token_is_renewed_on_the_standing_connection_before_it_runs_out(fake):
    clock = ManualClock()
    first, second = jwt({"exp": clock.now() + 100}), jwt({"exp": clock.now() + 1000})
    proved = asyncio.Queue()

    async def proves(service):
        while True:
            request = await service.receive()
            proved.put_nowait((request["action"], request["payload"], clock.now()))
            await service.answer(request, {})

    begun = clock.now()
    tokens = counting(first, second, second)
    async with StreamerClient(await fake(proves), token=tokens, clock=clock):
        await settle()
        await clock.advance(79)
        assert proved.empty()
        await clock.advance(1)
        action, payload, at = await proved.get()
        assert (action, payload, at - begun) == ("streamer.authenticate", {"token": second}, 80)
        while not clock.sleepers:
            await asyncio.sleep(0)
        await clock.advance(736)
        assert (await proved.get())[2] - begun == 816


async def test_a_renewal_that_fails_leaves_the_connection_and_is_in_the_log(fake, caplog):
    caplog.set_level(logging.WARNING, "streamer.client")
    clock = ManualClock()
    refused = asyncio.Event()

    async def refuses(service):
        await service.fail(await service.receive(), "UNAUTHORIZED", "the token is of another user")
        refused.set()
        await echo(service)

    token = jwt({"exp": clock.now() + 100})
    async with StreamerClient(await fake(refuses), token=lambda: token, clock=clock) as client:
        await settle()
        await clock.advance(80)
        await refused.wait()
        assert await client.request("do", 2) == 2
    assert "The token was not renewed" in caplog.text
    assert token not in caplog.text


async def test_a_function_that_breaks_while_renewing_leaves_the_connection(fake, caplog):
    clock = ManualClock()
    token = jwt({"exp": clock.now() + 100})
    asked = []

    def bring():
        asked.append(1)
        if len(asked) == 1:
            return token
        raise OSError("the key server is away")

    async with StreamerClient(await fake(echo), token=bring, clock=clock) as client:
        await settle()
        await clock.advance(80)
        assert await client.request("do", 2) == 2
    assert "The token was not renewed; trying again before it expires: OSError: the key" in caplog.text


async def test_authenticate_proves_at_once_with_a_given_token_or_the_clients_own(fake):
    async with StreamerClient(await fake(echo), token="own") as client:
        assert await client.authenticate() == {"token": "own"}
        assert await client.authenticate("other") == {"token": "other"}
    async with StreamerClient(await fake(echo)) as client:
        with pytest.raises(ValueError, match="no token"):
            await client.authenticate()


async def test_a_token_that_the_service_took_is_what_further_connections_begin_with(fake):
    guard = Guard("old", "new", "brought")
    connections = []

    async def cut_after_two(service):
        connections.append(service)
        for _ in range(2):
            request = await service.receive()
            await service.answer(request, len(connections))
        service.connection.transport.abort()

    url = await fake(cut_after_two, process_request=guard)
    for given, then in (("old", "new"), (lambda: "brought", "brought")):
        guard.seen.clear()
        async with StreamerClient(url, token=given) as client:
            await client.authenticate("new\n")
            await client.ping()
            await client.ping()
            assert guard.seen == ["brought" if callable(given) else "old", then]


@pytest.mark.parametrize("token", ["", "a b", 5])
async def test_what_cannot_be_a_token_is_not_sent(fake, token):
    async with StreamerClient(await fake(echo)) as client:
        with pytest.raises(ValueError, match="token"):
            await client.authenticate(token)


async def test_a_refusal_to_authenticate_is_an_exception(fake):
    async def refuses(service):
        await service.fail(await service.receive(), "UNAUTHORIZED")

    async with StreamerClient(await fake(refuses)) as client:
        with pytest.raises(Unauthorized):
            await client.authenticate("x")


def test_the_blocking_client_proves_too(fake_in_thread):
    guard = Guard("t")
    with SyncStreamerClient(fake_in_thread(echo, process_request=guard), token=lambda: "t") as client:
        assert client.authenticate() == {"token": "t"}


@pytest.mark.parametrize("source", [1, b"bytes", ["t"]])
def test_what_is_no_token_is_told_at_once(source):
    with pytest.raises(TypeError, match="must be a string or a function"):
        StreamerClient("ws://127.0.0.1:1/ws", token=source)


async def test_a_function_that_brings_no_string_is_told():
    with pytest.raises(UnusableToken, match="returned NoneType"):
        await Tokens(lambda: None, 10).fresh()


@pytest.mark.parametrize("token", ["", " \n", "a\r\nX-Evil: 1", "a b", "ä", "a\x00"])
async def test_a_token_that_no_header_carries_is_told_and_not_shown(fake, token):
    with pytest.raises(ValueError, match="the token (is empty|contains U\\+00)") as given:
        StreamerClient("ws://127.0.0.1:1/ws", token=token)
    with pytest.raises(ConnectionFailed, match="the token (is empty|contains U\\+00)") as brought:
        await StreamerClient(await fake(echo), token=lambda: token).connect()
    assert brought.value.reconnect
    assert "Evil" not in f"{given.value}{brought.value}"


async def test_the_line_break_at_the_end_of_a_token_from_a_file_is_none_of_it(fake):
    guard = Guard("secret")
    async with StreamerClient(await fake(echo, process_request=guard), token=lambda: "secret\n"):
        assert guard.seen == ["secret"]


async def cut_once(connections, service):
    """Cuts the first connection at its first request and answers on the others."""
    connections.append(service)
    if len(connections) == 1:
        await service.receive()
        service.connection.transport.abort()
    else:
        await echo(service)


@pytest.mark.parametrize("problem", [OSError("the key server is away"), asyncio.CancelledError()])
async def test_who_waits_survives_a_function_that_fails_while_it_connects_again(fake, caplog, problem):
    asked = []

    def bring():
        asked.append(1)
        if len(asked) == 2:
            raise problem
        return "t"

    async with StreamerClient(await fake(partial(cut_once, [])), token=bring) as client:
        assert await client.request("do", 1) == 1
    assert f"the token function failed: {type(problem).__name__}" in caplog.text
    assert len(asked) == 3


async def test_a_function_that_fails_at_the_first_handshake_is_told_with_its_error(fake):
    def bring():
        raise LookupError("no such user")

    client = StreamerClient(await fake(echo), token=bring)
    with pytest.raises(ConnectionFailed, match="the token function failed: LookupError: no such user") as failed:
        await client.connect()
    assert isinstance(failed.value.__cause__, LookupError)
    with pytest.raises(LookupError):
        await client.authenticate()


async def test_closing_does_not_wait_for_a_token(fake, caplog):
    asked = asyncio.Event()

    async def bring():
        asked.set()
        await asyncio.Event().wait()

    client = StreamerClient(await fake(echo), token=bring)
    connecting = asyncio.create_task(client.connect())
    await asked.wait()
    await client.close()
    with pytest.raises(ConnectionLost, match="closed by this client"):
        await connecting
    await settle()
    assert "failed" not in caplog.text


@pytest.mark.parametrize("rubbish", [None, b"bytes", "", " ", "<html>502 Bad Gateway</html>", "ä", 7])
async def test_a_function_that_brings_rubbish_once_is_asked_again(fake, rubbish, caplog):
    tokens = counting("t", rubbish, "u")
    states = []
    async with StreamerClient(
        await fake(partial(cut_once, [])), token=tokens, on_state_change=states.append, max_reconnect_delay=0.01
    ) as client:
        assert await client.request("do", 1) == 1
    assert "the token" in caplog.text
    assert any("the token" in state.reason for state in states)


async def test_a_function_that_does_not_come_back_is_given_up_and_asked_again(fake):
    asked = []

    async def bring():
        asked.append(None)
        while len(asked) == 1:
            # Not even a cancellation ends it.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return "t"

    client = StreamerClient(await fake(echo), token=bring, open_timeout=0.05)
    with pytest.raises(ConnectionFailed, match=r"did not return within 0\.05 s"):
        await client.connect()
    assert await client.request("do", 1) == 1
    await client.close()


async def test_a_plain_function_may_return_a_coroutine(fake):
    guard = Guard("t")

    async def later():
        return "t"

    async with StreamerClient(await fake(echo, process_request=guard), token=partial(later)) as client:
        assert await client.request("do", 1) == 1


def expiring(lives):
    """A script whose connections each answer so many requests and then say that the token has expired."""

    async def play(service):
        for _ in range(lives.pop(0)):
            request = await service.receive()
            await service.answer(request, request.get("payload"))
        await service.receive()
        await service.connection.close(3500, "the token has expired")

    return play


async def test_an_expired_token_is_worth_one_connection_with_a_fresh_one_and_no_more_if_that_was_of_no_use(fake):
    lives = [0, 0, 0, 1]
    async with StreamerClient(await fake(expiring(lives)), token=lambda: "t") as client:
        with pytest.raises(ConnectionLost, match="3500 .*returns expired tokens, or the clocks differ"):
            await client.request("do", 1)
        assert len(lives) == 2
        # To ask for a connection in so many words begins anew.
        await client.connect()
        assert await client.request("do", 2) == 2


async def test_a_token_that_was_good_for_a_while_may_be_followed_by_another_time_and_again(fake):
    async with StreamerClient(await fake(expiring([1] * 5)), token=lambda: "t", max_reconnect_delay=0.01) as client:
        assert [await client.request("do", number) for number in range(5)] == list(range(5))


async def test_a_quiet_connection_that_lasted_may_be_followed_by_another_time_and_again(fake):
    clock = ManualClock()
    connections, asking = asyncio.Queue(), []

    async def quiet(service):
        connections.put_nowait(service)

    async with StreamerClient(await fake(quiet), token=lambda: "t", clock=clock) as client:
        for _ in range(3):
            service = await connections.get()
            while not client.connected:
                await asyncio.sleep(0)
            await clock.advance(30)
            await service.connection.close(3500)
            while client.connected:
                await asyncio.sleep(0)
            asking.append(asyncio.create_task(client.request("do")))
        await connections.get()
    for lost in await asyncio.gather(*asking, return_exceptions=True):
        assert lost.code == 1000


def told(clock, seconds):
    moment = None if seconds is None else timestamp(clock.now() + seconds)
    return {"user_id": "u", "tenant_id": None, "expires_at": moment}


async def test_what_the_service_tells_of_the_expiry_counts_more_than_what_the_token_says(fake):
    clock = ManualClock()
    proved = asyncio.Queue()
    lives = [1000, 50, None]

    async def tells(service):
        while True:
            request = await service.receive()
            await service.answer(request, told(clock, lives.pop(0)))
            proved.put_nowait(clock.now())

    async with StreamerClient(await fake(tells), token=lambda: jwt({"exp": clock.now() + 100}), clock=clock) as client:
        begun = clock.now()
        await client.authenticate()
        assert await proved.get() == begun
        for later in (800, 840):
            while not clock.sleepers:
                await asyncio.sleep(0)
            await clock.advance(later - (clock.now() - begun))
            assert await proved.get() - begun == later
        await clock.advance(10_000)
        assert proved.empty()


@pytest.mark.parametrize("expires_at", ["soon", 5, {}])
def test_an_expiry_that_cannot_be_read_is_taken_from_the_token(expires_at):
    assert answered_expiry({"expires_at": expires_at}, jwt({"exp": 12})) == 12


async def test_a_renewal_that_fails_is_tried_again_before_the_token_runs_out(fake, caplog):
    caplog.set_level(logging.WARNING, "streamer.client")
    clock = ManualClock()
    asked = asyncio.Queue()

    async def busy(service):
        while True:
            request = await service.receive()
            await service.fail(request, "OVERLOADED")
            asked.put_nowait(clock.now())

    begun = clock.now()
    token = jwt({"exp": begun + 100})
    async with StreamerClient(await fake(busy), token=lambda: token, clock=clock):
        for later in (80, 96, 99.2, 100.2):
            while not clock.sleepers:
                await asyncio.sleep(0)
            await clock.advance(later + 0.01 - (clock.now() - begun))
            assert await asked.get() - begun == pytest.approx(later, abs=0.1)
        while "not renewed in time: OVERLOADED" not in caplog.text:
            await asyncio.sleep(0)
        await clock.advance(1000)
        assert asked.empty()


async def test_a_clock_far_ahead_does_not_renew_without_end(fake):
    clock = ManualClock()
    proved = asyncio.Queue()

    async def proves(service):
        while True:
            request = await service.receive()
            await service.answer(request, told(clock, -3600))
            proved.put_nowait(clock.now())

    begun = clock.now()
    async with StreamerClient(await fake(proves), token=lambda: jwt({"exp": begun - 3600}), clock=clock):
        for later in (60, 120):
            while not clock.sleepers:
                await asyncio.sleep(0)
            await clock.advance(59)
            assert proved.empty()
            await clock.advance(1)
            assert await proved.get() - begun == later


@pytest.mark.parametrize(
    ("token", "advice"),
    [
        (None, "pass the client a token="),
        ("t", "pass another one, or a function as token="),
        (lambda: "t", "refused two fresh tokens"),
    ],
)
async def test_a_refusal_says_what_to_do(fake, token, advice):
    with pytest.raises(ConnectionFailed, match=advice):
        await StreamerClient(await fake(echo, process_request=Guard()), token=token).connect()


@pytest.mark.parametrize(
    ("token", "seconds"),
    [
        (jwt({"exp": 12}), 12.0),
        (jwt({"exp": 12.5}), 12.5),
        (jwt({}), None),
        (jwt({"exp": "soon"}), None),
        (jwt([1]), None),
        (jwt({"exp": 10**400}), None),
        (jwt({"exp": float("inf")}), None),
        (jwt({"exp": float("nan")}), None),
        ("opaque", None),
        ("a.!!!.c", None),
        ("a.AAAA.c", None),
    ],
)
def test_when_a_token_runs_out_is_read_where_it_can_be(token, seconds):
    assert expiry(token) == seconds


async def test_what_a_service_on_its_way_down_refused_is_sent_again_over_the_next_connection(fake):
    connections = []

    async def draining(service):
        connections.append(service)
        request = await service.receive()
        if len(connections) == 1:
            await service.fail(request, "OVERLOADED", details={"retry_after_ms": 1000, "reconnect": True})
            await service.connection.close(3001, "the service is shutting down; connect again")
        else:
            await service.answer(request, len(connections))

    async with StreamerClient(await fake(draining)) as client:
        assert await client.request("do") == 2


@pytest.mark.parametrize("code", ["OVERLOADED", "RATE_LIMITED"])
async def test_what_was_sent_again_and_is_refused_for_now_may_have_been_stored_and_is_asked_for_later(fake, code):
    heard = []

    async def busy(service):
        heard.append(await service.receive())
        if len(heard) == 1:
            service.connection.transport.abort()
            return
        await service.fail(heard[-1], code, details={"retry_after_ms": 1})
        heard.append(await service.receive())
        await service.answer(heard[-1], len(heard))

    async with StreamerClient(await fake(busy)) as client:
        assert await client.request("do") == 3
    assert heard[0] == heard[1] == heard[2]


async def test_a_cancellation_that_is_refused_for_now_is_asked_for_again(fake):
    asked = []

    async def busy(service):
        request = await service.receive()
        await service.acknowledge(request)
        for _ in range(3):
            asked.append(await service.receive())
            if len(asked) < 3:
                await service.fail(asked[-1], "OVERLOADED", details={"retry_after_ms": 1})
        await service.answer(asked[-1], {"status": "CANCELLED"})

    async with StreamerClient(await fake(busy)) as client:
        handle = await client.submit("do")
        assert await handle.cancel() == {"status": "CANCELLED"}
    assert [one["action"] for one in asked] == ["streamer.cancel"] * 3


@pytest.mark.parametrize("details", [{}, {"retry_after_ms": 5}, {"reconnect": False}, None])
async def test_other_refusals_for_now_are_told(fake, details):
    async def full(service):
        await service.fail(await service.receive(), "OVERLOADED", details=details)

    async with StreamerClient(await fake(full)) as client:
        with pytest.raises(Exception, match="OVERLOADED"):
            await client.request("do")


async def test_without_another_connection_it_is_told_too(fake):
    async def draining(service):
        await service.fail(await service.receive(), "OVERLOADED", details={"reconnect": True})

    async with StreamerClient(await fake(draining), reconnect=False) as client:
        with pytest.raises(Exception, match="OVERLOADED"):
            await client.request("do")
