"""No message of the service is larger than the file allows."""

from __future__ import annotations

import json

import pytest

from streamer.core.errors import Error
from streamer.core.messages import ProgressUpdate, Result
from streamer.engine.sizes import ENVELOPE, fit_message

LIMIT = 10_000
LONG = "x" * LIMIT


@pytest.fixture
async def house(make_house):
    made = make_house(max_result_size=LIMIT)
    await made.start()
    yield made
    await made.stop()


def largest(peer):
    return max(len(json.dumps(message)) for message in peer.messages)


async def returning(value):
    if isinstance(value, Error):
        raise value
    return value


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
async def test_a_direct_result_over_the_limit_is_an_error_for_the_client_and_advice_for_the_operator(house, waits):
    async def work(_request):
        if waits:
            await house.clock.sleep(1)
        return LONG * 2

    house.declare("work", work)
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.clock.advance(2)
    [answer] = peer.messages
    assert answer["error"]["code"] == "INTERNAL_ERROR"
    assert "too large" in answer["error"]["message"]
    assert not answer["error"]["retryable"]
    assert answer["error"]["details"]["limit"] == LIMIT
    assert answer["error"]["details"]["size"] > 2 * LIMIT
    [(event, context)] = [(event, context) for level, event, context in house.logger.lines if level == "error"]
    assert "service.max_result_size" in event
    assert "return its address" in event
    assert (context["request_id"], context["action"]) == ("r", "work")


async def test_a_queued_result_over_the_limit_fails_the_request_at_once_and_is_not_stored(house):
    runs = []

    async def work(_request):
        runs.append(None)
        return LONG

    house.declare("work", work, mode="async")
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    answer = peer.messages[-1]
    assert answer["error"]["code"] == "INTERNAL_ERROR"
    assert answer["error"]["details"] == {"size": LIMIT + len('{"success":true,"result":""}'), "limit": LIMIT}
    record = await house.store.get(("client:one", "r"))
    assert (record.status, record.result, len(runs)) == ("FAILED", b"", 1)
    assert any("service.max_result_size" in event for event in house.errors())


async def test_a_result_just_below_the_limit_comes(house):
    async def work(_request):
        return "x" * (LIMIT - 100)

    house.declare("direct", work)
    house.declare("queued", work, mode="async")
    peer = house.peer()
    house.send(peer, action="direct", id="d")
    house.send(peer, action="queued", id="q")
    await house.settle()
    house.send(peer, action="streamer.status", id="s", payload={"request_id": "q"})
    await house.settle()
    ends = {message["request_id"]: message.get("success") for message in peer.messages}
    assert ends == {"d": True, "q": True, "s": True}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    "outcome",
    [
        Error("MINE", LONG * 2),
        Error("MINE", "short", {"all": LONG * 2}),
        Error("MINE", "é" * LIMIT, {"all": LONG}),
    ],
    ids=["message", "details", "both"],
)
async def test_of_an_error_over_the_limit_what_is_too_much_is_left_out(house, mode, outcome):
    house.declare("work", lambda _request: returning(outcome), mode=mode)
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    error = peer.messages[-1]["error"]
    assert error["code"] == "MINE"
    assert error["message"].rstrip("…") == outcome.message[:1000]
    assert "left_out" in error["details"]
    assert largest(peer) < LIMIT + ENVELOPE


@pytest.mark.parametrize(
    "value", [Result(data=1, metadata={"all": LONG * 2}), Result(success=False, error=Error("MINE", LONG * 2))]
)
async def test_what_comes_with_a_result_counts_too(house, value):
    house.declare("work", lambda _request: returning(value))
    house.declare("later", lambda _request: returning(value), mode="async")
    peer = house.peer()
    for action in ("work", "later"):
        house.send(peer, action=action)
        await house.settle()
        assert "too large" in peer.messages[-1]["error"]["message"]


@pytest.mark.parametrize("watched", [True, False])
async def test_of_a_report_over_the_limit_what_is_too_much_is_left_out(house, watched):
    async def work(request):
        await house.clock.sleep(2)
        request.progress.report(10, LONG, rows=LONG * 2)
        await house.clock.sleep(60)

    house.declare("work", work, mode="async")
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    if not watched:
        house.router.disconnected(peer)
    await house.clock.advance(5)
    if not watched:
        house.send(peer, action="streamer.resume", payload={"request_id": "r"})
        await house.settle()
    report = next(message for message in reversed(peer.messages) if message["type"] == "progress")
    assert (report["percentage"], report["message"]) == (10, "x" * 1000 + "…")
    assert not report.get("metadata")
    assert largest(peer) < LIMIT
    assert "progress metadata cannot be sent" in house.errors()


def test_a_short_message_stays_as_it_is():
    update = ProgressUpdate(percentage=1, message="short", metadata=None, timestamp=0)
    assert not fit_message(update, LIMIT)
    assert update.message == "short"
