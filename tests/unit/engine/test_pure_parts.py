"""The parts of the engine that decide without I/O: routing, routes, pipeline, validation, outcomes."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.contracts.handlers import BaseHandler, HandlerFunc, simple_handler
from streamer.contracts.middleware import Middleware
from streamer.core.errors import Error, TransitionRefused
from streamer.core.messages import ErrorBody, ProgressUpdate, Request, Result
from streamer.core.records import RequestRecord
from streamer.core.transitions import Cancelled, advance
from streamer.engine.delivery import Delivery
from streamer.engine.outcomes import progress_message, stored_result, terminal_message
from streamer.engine.pipeline import compose, is_immediate
from streamer.engine.routes import Mode, RetryPolicy, is_queued, reason
from streamer.engine.validation import SchemaError, Validator, pointer
from streamer.testing import SendOnlyMock


@pytest.mark.parametrize(
    ("mode", "estimate", "wait", "max_wait", "queued"),
    [
        (Mode.AUTO, 4.999, None, None, False),
        (Mode.AUTO, 5.0, None, None, True),
        (Mode.SYNC, 500.0, 0.0, None, False),
        (Mode.ASYNC, 0.0, 100.0, None, True),
        (Mode.AUTO, 1.0, 0.0, None, True),
        (Mode.AUTO, 1.0, 2.0, None, False),
        (Mode.AUTO, 8.0, 60.0, None, True),
        (Mode.AUTO, 8.0, 60.0, 10.0, False),
        (Mode.AUTO, 0.0, 0.0, None, True),
    ],
)
def test_estimate_threshold_and_wish_decide(mode, estimate, wait, max_wait, queued):
    assert is_queued(mode, estimate, 5.0, wait, max_wait) is queued
    said = reason(mode, estimate, 5.0, wait, max_wait)
    if mode is Mode.AUTO:
        assert ("at or above" in said) is queued
    else:
        assert mode.value in said


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_waits_between_attempts_stay_within_their_bounds(attempt, seed):
    policy = RetryPolicy(initial=1.0, factor=2.0, max=30.0, jitter=0.2)
    bare = min(30.0, 2.0 ** min(attempt - 1, 64))
    assert bare * 0.8 <= policy.delay(attempt, random.Random(seed)) <= bare * 1.2


class Named(Middleware):
    def __init__(self, name, log):
        self.name = name
        self.log = log

    async def admit(self, request, next):
        self.log.append(f"{self.name} admits")
        await next(request)

    async def process(self, request, next):
        self.log.append(f"{self.name} in")
        result = await next(request)
        self.log.append(f"{self.name} out")
        return result


class OnlyAdmits(Middleware):
    async def admit(self, request, next):
        await next(request)


class OnlyProcesses(Middleware):
    immediate = True

    async def process(self, request, next):
        return await next(request)


REQUEST = Request(id="r", action="a")


async def test_the_first_listed_is_outermost_in_both_places():
    log = []

    async def run(request):
        log.append("handler")

    pipeline = compose(simple_handler("x", run), [Named("a", log), Named("b", log)])
    await pipeline.admit(REQUEST)
    result = await pipeline.direct(REQUEST)
    assert log == ["a admits", "b admits", "a in", "b in", "handler", "b out", "a out"]
    assert isinstance(result, Result)


def test_what_is_not_overridden_is_left_out():
    handler = simple_handler("x", None)
    assert compose(handler, ()).direct == handler.process
    assert compose(handler, ()).admit is None
    assert compose(handler, ()).validate is None
    assert compose(handler, [OnlyProcesses()]).admit is None
    assert compose(handler, [OnlyAdmits()]).admit is not None


async def test_a_handlers_own_checks_are_kept():
    def check(request):
        raise ValueError("no")

    class Checks(BaseHandler):
        process = None

        def validate(self, request):
            raise ValueError("mine")

    class Bare:
        def validate(self, request):
            raise ValueError("bare")

        def estimated_duration(self):
            return 1.0

        async def process(self, request):
            return None

    for handler in (HandlerFunc(None, validator=check), Checks(), Bare()):
        with pytest.raises(ValueError, match="no|mine|bare"):
            compose(handler, ()).validate(REQUEST)


async def test_a_callable_in_the_originals_shape_stands_at_its_place_and_may_change_the_estimate():
    log = []

    def wrap(inner):
        class Wrapped(BaseHandler):
            async def process(self, request):
                log.append("wrapped")
                return await inner.process(request)

        return Wrapped(estimated_duration=inner.estimated_duration() + 60)

    async def run(request):
        return 1

    pipeline = compose(simple_handler("x", run), [Named("a", log), wrap, Named("b", log)])
    assert pipeline.estimate() == pytest.approx(60.1)
    assert (await pipeline.queued(REQUEST)).data == 1
    assert log == ["a in", "wrapped", "b in", "b out", "a out"]


async def test_a_wrapped_handler_with_progress_still_reports():
    class WithProgress(BaseHandler):
        async def process_with_progress(self, request, reporter):
            return Result(data=reporter is request.progress)

        async def process(self, request):
            return Result(data="direct")

    def same(inner):
        return inner

    pipeline = compose(WithProgress(), [same])
    assert (await pipeline.queued(REQUEST)).data is True
    assert (await pipeline.direct(REQUEST)).data == "direct"


def test_immediate_is_what_all_of_them_promise():
    assert is_immediate(True, [OnlyProcesses()])
    assert not is_immediate(False, [])
    assert not is_immediate(True, [OnlyAdmits()])
    assert not is_immediate(True, [lambda handler: handler])


async def test_a_result_is_checked_against_its_schema():
    async def run(request):
        return request.payload

    pipeline = compose(simple_handler("x", run), (), Validator({"type": "integer"}))
    assert (await pipeline.direct(Request(id="r", action="a", payload=3))).data == 3
    for wrong in ("x", object()):
        with pytest.raises(Error) as refused:
            await pipeline.direct(Request(id="r", action="a", payload=wrong))
        assert refused.value.code == "INTERNAL_ERROR"
        assert refused.value.__notes__


class TestValidator:
    def test_pointers_are_escaped(self):
        assert pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"

    def test_a_schema_that_does_not_compile_says_so(self):
        for broken in ({"type": "nothing"}, {"pattern": "("}, {"$ref": "#/$defs/none"}):
            with pytest.raises(SchemaError):
                Validator(broken)

    def test_references_resolve_among_the_resources_and_nothing_is_fetched(self):
        validator = Validator(
            {"$ref": "other.json#/$defs/n"},
            {"file:///s/other.json": {"$defs": {"n": {"type": "integer"}}}},
            "file:///s/a.json",
        )
        assert validator.is_valid(1)
        assert not validator.is_valid("x")
        with pytest.raises(SchemaError):
            Validator({"$ref": "http://example.com/schema.json"})

    def test_check_returns_or_raises_with_every_violation(self):
        validator = Validator({"items": {"type": "integer"}})
        validator.check([1])
        with pytest.raises(Error, match="and 1 more"):
            validator.check(["a", "b"])

    def test_formats_are_checked(self):
        assert not Validator({"format": "email"}).is_valid("nobody")

    def test_a_hostile_pattern_is_linear(self):
        assert not Validator({"pattern": "^(a+)+$"}).is_valid("a" * 50_000 + "b")


def make_record(**changes):
    base = {"owner": "o", "id": "r", "action": "a", "created_at": 1.0, "updated_at": 1.0, "due_at": 1.0}
    return RequestRecord(**{**base, **changes})


def test_a_terminal_record_makes_its_message():
    stored = stored_result(Result(data={"x": 1}, metadata={"m": 2}))
    from streamer.core.records import Status

    completed = make_record(status=Status.COMPLETED, result=stored, seq=5, due_at=None, finished_at=0.0)
    assert json.loads(terminal_message(completed)) == {
        "type": "complete",
        "request_id": "r",
        "seq": 5,
        "success": True,
        "result": {"x": 1},
        "metadata": {"m": 2},
        "timestamp": "1970-01-01T00:00:01.000Z",
    }
    cancelled = advance(make_record(), Cancelled(2.0))
    message = json.loads(terminal_message(cancelled))
    assert (message["type"], message["error"]["code"], message["seq"]) == ("error", "CANCELLED", 1)
    with pytest.raises(TransitionRefused):
        advance(cancelled, Cancelled(3.0))


def test_a_progress_message_has_what_the_protocol_says():
    update = ProgressUpdate(percentage=45.5, message="Batch 2 of 4", metadata={"rows": 1250}, timestamp=1767268800.0)
    assert json.loads(progress_message("req-123", 4, update)) == {
        "type": "progress",
        "request_id": "req-123",
        "seq": 4,
        "percentage": 45.5,
        "message": "Batch 2 of 4",
        "metadata": {"rows": 1250},
        "timestamp": "2026-01-01T12:00:00.000Z",
    }


class TestDelivery:
    KEY = ("o", "r")

    async def test_following_twice_is_following_once(self):
        delivery = Delivery(SendOnlyMock())
        for connection_id in ("c", "c", "d"):
            delivery.subscribe(self.KEY, connection_id)
        delivery.unsubscribe(self.KEY, "c")
        delivery.unsubscribe(self.KEY, "never")
        assert delivery.awaits_acknowledgment(self.KEY, "c")
        delivery.unsubscribe(self.KEY, "c")
        assert not delivery.awaits_acknowledgment(self.KEY, "c")
        assert self.KEY in delivery.subscribed_here()
        await delivery.acknowledged(self.KEY, "d")
        assert self.KEY in delivery.subscribed_here()
        delivery.forget("d")
        delivery.forget("never")
        assert self.KEY not in delivery.subscribed_here()

    async def test_what_is_held_back_comes_after_the_acknowledgment_in_order(self):
        connections = SendOnlyMock()
        delivery = Delivery(connections)
        delivery.subscribe(self.KEY, "c")
        await delivery.progress(self.KEY, lambda: b"1")
        await delivery.terminal(self.KEY, lambda: b"2")
        await delivery.terminal(self.KEY, lambda: b"3")
        assert connections.messages == {}
        await delivery.acknowledged(self.KEY, "c")
        assert connections.get_messages("c") == [1, 2]
        await delivery.acknowledged(self.KEY, "c")
        await delivery.terminal(self.KEY, lambda: b"4")
        assert connections.get_messages("c") == [1, 2]

    async def test_a_connection_that_is_gone_is_forgotten(self):
        from streamer.connections.local import LocalConnections

        delivery = Delivery(LocalConnections())
        delivery.subscribe(self.KEY, "c")
        await delivery.acknowledged(self.KEY, "c")
        await delivery.progress(self.KEY, lambda: b"1")
        assert self.KEY not in delivery.subscribed_here()


def test_error_bodies_are_compared_by_value():
    assert ErrorBody("A", "b") == ErrorBody("A", "b")


def test_of_a_very_large_payload_only_the_first_violation_is_told():
    validator = Validator({"items": {"items": {"type": "string"}}})
    error = validator.error([[1] * 3500, [1] * 3500])
    assert [one["path"] for one in error.details["errors"]] == ["/0/0"]
    assert "too large to search for more" in error.message
    error = validator.error([["a"] * 2000, [1] * 2000])
    assert len(error.details["errors"]) == 100
    assert error.details["errors"][0]["path"] == "/1/0"
