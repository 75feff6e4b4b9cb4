"""Wrappers in the original's shape among the middlewares, and what result schemas see."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streamer.contracts.handlers import BaseHandler, HandlerFunc
from streamer.contracts.middleware import Middleware
from streamer.core.errors import Error
from streamer.core.messages import Request, Result
from streamer.engine.pipeline import compose
from streamer.engine.validation import Validator
from streamer.testing import RecordingReporter

DIRECT = Request(id="r", action="a")
QUEUED = Request(id="r", action="a", queued=True)


class Works(BaseHandler):
    async def process(self, request):
        return "plain"

    async def process_with_progress(self, request, reporter):
        reporter.report(5, "on the way")
        return "with progress"


class OnlyProcess(BaseHandler):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    async def process(self, request):
        return await self.inner.process(request)


async def test_a_wrapper_that_knows_only_process_does_not_cost_a_queued_request_its_progress():
    pipeline = compose(Works(), [OnlyProcess])
    reporter = RecordingReporter()
    request = Request(id="r", action="a", queued=True, progress=reporter)
    assert (await pipeline.queued(request)).data == "with progress"
    assert reporter.updates == [(5, "on the way", {})]
    assert (await pipeline.direct(DIRECT)).data == "plain"


async def test_a_wrapper_may_listen_in_on_the_progress():
    mine, theirs = RecordingReporter(), RecordingReporter()

    class Listens(OnlyProcess):
        async def process_with_progress(self, request, reporter):
            assert reporter is theirs
            return await self.inner.process_with_progress(request, mine)

    request = Request(id="r", action="a", queued=True, progress=theirs)
    await compose(Works(), [Listens, OnlyProcess]).queued(request)
    assert (mine.updates, theirs.updates) == ([(5, "on the way", {})], [])


async def test_middleware_around_a_wrapper_is_given_a_result_whatever_the_wrapper_returns():
    seen = []

    class Sees(Middleware):
        async def process(self, request, next, /):
            result = await next(request)
            seen.append(result)
            return result

    class Answers(OnlyProcess):
        async def process(self, request):
            return {"mine": True}

    pipeline = compose(Works(), [Sees(), Answers])
    await pipeline.direct(DIRECT)
    await pipeline.queued(QUEUED)
    assert seen == [Result(data={"mine": True})] * 2


def returning(value):
    async def process(_request):
        return value

    return HandlerFunc(process)


@pytest.mark.parametrize("data", [{1: "a"}, {"1": "a"}, {"at": datetime(2026, 1, 1, tzinfo=UTC).date()}])
async def test_a_result_schema_sees_what_the_client_will(data):
    schema = Validator({"type": "object", "additionalProperties": {"type": "string"}})
    assert (await compose(returning(data), [], schema).direct(DIRECT)).data == data


@pytest.mark.parametrize("data", [{"a": object()}, {"a": 1}])
async def test_a_result_that_breaks_its_schema_is_the_handlers_fault_and_the_log_says_why(data):
    schema = Validator({"type": "object", "additionalProperties": {"type": "string"}})
    with pytest.raises(Error) as caught:
        await compose(returning(data), [], schema).queued(QUEUED)
    assert (caught.value.code, caught.value.message) == ("INTERNAL_ERROR", "The request could not be completed")
    assert caught.value.__notes__


async def test_a_result_that_says_it_failed_need_not_match():
    schema = Validator({"type": "object"})
    result = Result(success=False, data="half", error=Error("HALF", "half"))
    assert await compose(returning(result), [], schema).direct(DIRECT) is result
