"""The shapes that a handler may have, and what the base class fills in."""

from __future__ import annotations

import pytest

from streamer.contracts.handlers import BaseHandler, Handler, HandlerFunc, HandlerWithProgress, simple_handler
from streamer.core.errors import Error
from streamer.core.messages import Request, Result

REQUEST = Request(id="r", action="a", payload=21)


async def double(request):
    return request.payload * 2


async def test_a_function_becomes_a_handler_and_its_value_a_result():
    handler = HandlerFunc(double, 2.5)
    assert isinstance(handler, Handler)
    assert not isinstance(handler, HandlerWithProgress)
    assert handler.estimated_duration() == 2.5
    assert await handler.process(REQUEST) == Result(data=42)


async def test_a_result_of_the_function_is_left_as_it_is():
    result = Result(success=False, error=Error("X", "x"), metadata={"m": 1})

    async def process(_request):
        return result

    assert await HandlerFunc(process).process(REQUEST) is result


async def test_a_simple_handler_has_a_name_a_tenth_of_a_second_and_no_check():
    handler = simple_handler("double", double)
    assert (handler.name, handler.estimated_duration()) == ("double", 0.1)
    assert not handler.validates()
    assert (await handler.process(REQUEST)).data == 42


def test_a_validator_is_asked_and_its_absence_is_known():
    asked = []
    handler = HandlerFunc(double, validator=asked.append)
    assert handler.validates()
    handler.validate(REQUEST)
    assert asked == [REQUEST]
    BaseHandler().validate(REQUEST)
    assert not BaseHandler().validates()


def test_a_check_of_a_subclass_counts_as_one():
    class Checks(BaseHandler):
        def validate(self, request):
            raise Error("NO", "no")

    assert Checks().validates()
    with pytest.raises(Error, match="no"):
        Checks().validate(REQUEST)


def test_a_handler_with_progress_is_known_by_its_method():
    class Reports(BaseHandler):
        async def process(self, request):
            return Result()

        async def process_with_progress(self, request, reporter):
            return Result()

    assert isinstance(Reports(), HandlerWithProgress)
