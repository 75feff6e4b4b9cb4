"""Whatever foreign code raises, its own request ends with an error, at once, and nothing else is touched."""

from __future__ import annotations

import asyncio
from datetime import datetime, tzinfo

import pytest

from streamer.contracts.handlers import BaseHandler
from streamer.contracts.middleware import Middleware
from streamer.core.errors import Error
from streamer.core.messages import Result
from streamer.engine.codec import encode_error, plain_text, sendable_body
from tests.unit.engine.conftest import Function


class Panic(BaseException):
    """What a Rust extension raises: no `Exception`."""


class Unspeakable(BaseException):
    """Its text cannot be had."""

    def __str__(self):
        raise Panic("str")


def _anything():
    return [
        Panic("called Option::unwrap() on a None value"),
        Unspeakable(),
        GeneratorExit(),
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        StopAsyncIteration(),
        BaseExceptionGroup("many", [Panic("one"), ValueError("two")]),
        RecursionError("too deep"),
        MemoryError(),
        Exception("x" * 1_000_000),
    ]


ANYTHING = pytest.mark.parametrize("problem", _anything(), ids=lambda problem: type(problem).__name__)
WAYS = pytest.mark.parametrize("way", ["immediate", "task", "queued"])


def zone_that_raises(problem):
    """A time zone: the encoder asks it, and so runs its code."""

    class Zone(tzinfo):
        def utcoffset(self, when):
            raise problem

    return Zone()


def options_of(way):
    return {"mode": "async"} if way == "queued" else {"immediate": way == "immediate"}


async def outcome(house, way, function, **options):
    """What the client gets in the end, without any time passing."""
    house.declare("act", function, **options_of(way), **options)
    await house.start()
    peer = house.peer()
    house.send(peer, action="act", id="r")
    await house.settle()
    await house.settle()
    assert peer.running == 0
    assert not house.worker.running
    return peer.messages[-1]


def internal(message):
    return message["type"] == "error" and message["error"]["code"] == "INTERNAL_ERROR"


@ANYTHING
@WAYS
async def test_of_a_handler(house, way, problem):
    attempts = []

    async def handler(request):
        attempts.append(request.attempt)
        raise problem

    assert internal(await outcome(house, way, handler))
    assert attempts == [1]
    assert any(context.get("request_id") == "r" for level, _, context in house.logger.lines if level == "error")


@ANYTHING
@WAYS
async def test_of_a_handler_that_has_waited(house, way, problem):
    async def handler(request):
        await asyncio.sleep(0)
        raise problem

    assert internal(await outcome(house, way, handler))


@ANYTHING
@WAYS
async def test_of_a_handler_that_is_no_coroutine_function(house, way, problem):
    class Plain(BaseHandler):
        def process(self, request, /):
            raise problem

    assert internal(await outcome(house, way, Plain()))


@pytest.mark.parametrize("immediate", [True, False])
async def test_a_stop_iteration_is_no_result(house, immediate):
    class Plain(BaseHandler):
        def process(self, request, /):
            raise StopIteration("not a result")

    house.declare("act", Plain(), immediate=immediate)
    peer = house.peer()
    house.send(peer, action="act", id="r")
    await house.settle()
    assert internal(peer.messages[-1])


@ANYTHING
@WAYS
async def test_of_a_handlers_own_check(house, way, problem):
    class Checks(Function):
        def validate(self, request, /):
            raise problem

    assert internal(await outcome(house, way, Checks(None)))


@ANYTHING
@WAYS
@pytest.mark.parametrize("method", ["process", "admit"])
async def test_of_a_middleware(house, way, problem, method):
    class Bad(Middleware):
        immediate = True

    async def raises(self, request, next):
        raise problem

    setattr(Bad, method, raises)

    async def handler(request):
        return "never seen"

    assert internal(await outcome(house, way, handler, middlewares=[Bad()]))


@ANYTHING
@WAYS
async def test_of_a_middleware_in_the_original_shape(house, way, problem):
    def wrap(handler):
        class Wrapped(BaseHandler):
            async def process(self, request, /):
                raise problem

        return Wrapped()

    async def handler(request):
        return "never seen"

    assert internal(await outcome(house, way, handler, middlewares=[wrap]))


@ANYTHING
@WAYS
async def test_of_encoding_a_result(house, way, problem):
    async def handler(request):
        return {"at": datetime(2026, 1, 1, tzinfo=zone_that_raises(problem))}

    assert internal(await outcome(house, way, handler))


@WAYS
async def test_of_a_schema_that_cannot_be_asked(house, way):
    class Broken:
        def is_valid(self, value):
            raise Panic("regex")

    async def handler(request):
        return "never seen"

    route = house.declare("act", handler, **options_of(way))
    object.__setattr__(route, "validator", Broken())
    peer = house.peer()
    house.send(peer, action="act", id="r")
    await house.settle()
    assert internal(peer.messages[-1])
    assert peer.refusals == 0


@ANYTHING
async def test_of_encoding_the_metadata_of_progress(house, problem):
    async def handler(request):
        request.progress.report(10, "reading", at=datetime(2026, 1, 1, tzinfo=zone_that_raises(problem)))
        return "done"

    assert (await outcome(house, "queued", handler))["result"] == "done"
    assert "progress metadata cannot be sent" in [event for _, event, _ in house.logger.lines]


@pytest.mark.parametrize("way", ["task", "queued"])
async def test_of_an_error_that_lacks_what_an_error_has(house, way):
    class Bare(Error):
        def __init__(self):
            pass

    async def handler(request):
        raise Bare

    assert internal(await outcome(house, way, handler))


@pytest.mark.parametrize("way", ["task", "queued"])
async def test_of_a_result_whose_error_is_no_error(house, way):
    async def handler(request):
        return Result(success=False, error="a mere text")

    assert internal(await outcome(house, way, handler))


async def test_an_error_of_a_check_with_odd_details_is_answered(house):
    class Checks(Function):
        def validate(self, request, /):
            raise Error("ODD", "odd", details=["not", "an", "object"])

    house.declare("act", Checks(None))
    peer = house.peer()
    house.send(peer, action="act", id="r")
    assert peer.messages[0]["error"]["code"] == "ODD"
    assert peer.refusals == 1


async def test_a_connection_that_raises_does_not_end_a_request(house):
    class Broken(type(house.peer())):
        def send_latest(self, _name, data, _final=False, /):
            raise Panic("socket")

    async def handler(request):
        return "done"

    house.declare("act", handler, mode="async")
    peer = Broken()
    house.connections.add(peer)
    await house.start()
    house.send(peer, action="act", id="r")
    await house.settle()
    assert (await house.store.get((peer.owner, "r"))).status == "COMPLETED"


def test_texts_that_cannot_be_had_are_replaced():
    assert plain_text(Unspeakable()) == "<the text of a Unspeakable cannot be shown>"
    error = Error("ODD", "odd")
    error.code = Unspeakable()
    assert sendable_body(error).code == "<the text of a Unspeakable cannot be shown>"
    assert b"cannot be shown" in encode_error(error, "r")
