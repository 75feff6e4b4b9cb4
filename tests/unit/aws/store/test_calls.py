"""Calls that are tried again, and what they say when that did not help. Without any DynamoDB."""

from __future__ import annotations

import asyncio

import pytest
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError

from streamer.core.errors import StoreUnavailable
from streamer_aws.dynamodb import calls
from streamer_aws.dynamodb.calls import Calls, Refused, Throttled, TooLarge, all_of


class Answers:
    """A client that gives answers in their order."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def batch_get_item(self, **parameters):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    put_item = query = batch_get_item


def made(clock, *answers):
    return Calls(Answers(*answers), "requests", clock)


@pytest.mark.parametrize("code", sorted(calls.THROTTLED | calls.PASSING))
async def test_what_may_pass_is_tried_again_after_a_while(clock, error_of, code):
    assert await made(clock, error_of(code), error_of(code), {"done": True}).make("put_item") == {"done": True}
    assert len(clock.slept) == 2
    assert all(slept <= longest for slept, longest in zip(clock.slept, (0.05, 0.1), strict=True))


async def test_too_fast_for_all_tries_says_so(clock, error_of):
    throttled = [error_of("ProvisionedThroughputExceededException")] * calls.TRIES
    with pytest.raises(Throttled, match="'requests'.*fewer calls"):
        await made(clock, *throttled).make("put_item")
    assert len(clock.slept) == calls.TRIES - 1
    assert sum(clock.slept) < 4


@pytest.mark.parametrize(
    ("answer", "tries", "says"),
    [
        (ConnectTimeoutError(endpoint_url="https://dynamodb"), calls.TRIES_UNHEARD, "cannot be reached"),
        (("Odd", "upset", 502), calls.TRIES, "fails: Odd: upset"),
        (("ResourceNotFoundException",), 1, "streamer backend create"),
        (("AccessDeniedException", "not you"), 1, "refuses PutItem on .requests.: AccessDeniedException: not you"),
        (NoCredentialsError(), 1, "Unable to locate credentials"),
    ],
)
async def test_an_error_says_what_is_wrong(clock, error_of, answer, tries, says):
    error = error_of(*answer) if isinstance(answer, tuple) else answer
    with pytest.raises(StoreUnavailable, match=says):
        await made(clock, *[error] * tries).make("put_item")


async def test_a_condition_that_does_not_hold_brings_what_stands(clock, error_of):
    error = error_of("ConditionalCheckFailedException")
    error.response["Item"] = {"id": {"S": "r1"}}
    with pytest.raises(Refused) as refused:
        await made(clock, error).make("put_item")
    assert refused.value.item == {"id": {"S": "r1"}}


async def test_an_item_that_is_too_large_is_known_by_its_message(clock, error_of):
    with pytest.raises(TooLarge):
        await made(clock, error_of("ValidationException", "Item size has exceeded the maximum")).make("put_item")
    with pytest.raises(StoreUnavailable, match="malformed"):
        await made(clock, error_of("ValidationException", "malformed")).make("put_item")


async def test_a_query_is_read_to_its_last_page(clock):
    pages = made(clock, {"Items": [{"n": 1}], "LastEvaluatedKey": {"n": 1}}, {"Items": [{"n": 2}]})
    assert await pages.pages(IndexName="lanes") == [{"n": 1}, {"n": 2}]


async def test_keys_that_a_batch_did_not_come_to_are_asked_again(clock):
    first, second = {"id": {"S": "1"}}, {"id": {"S": "2"}}
    answers = [
        {"Responses": {"requests": [first]}, "UnprocessedKeys": {"requests": {"Keys": [second]}}},
        {"Responses": {}, "UnprocessedKeys": {"requests": {"Keys": [second]}}},
        {"Responses": {"requests": [second]}},
    ]
    assert await made(clock, *answers).get_many([first, second]) == [first, second]
    assert len(clock.slept) == 1, "it waits only when nothing came"


async def test_a_batch_that_brings_nothing_again_and_again_is_throttled(clock):
    nothing = {"Responses": {}, "UnprocessedKeys": {"requests": {"Keys": [{"id": {"S": "1"}}]}}}
    with pytest.raises(Throttled):
        await made(clock, *[nothing] * calls.TRIES).get_many([{"id": {"S": "1"}}])


async def test_many_calls_are_made_some_at_a_time_and_the_first_failure_is_told_when_all_have_ended():
    running, most, ended = 0, 0, 0

    async def work(number):
        nonlocal running, most, ended
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        ended += 1
        if number == 3:
            raise StoreUnavailable("no")
        return number

    assert await all_of(work(n) for n in (1, 2)) == [1, 2]
    with pytest.raises(StoreUnavailable):
        await all_of(work(n) for n in range(100))
    assert (most, ended) == (calls.AT_ONCE, 102)


async def test_closing_waits_for_what_is_under_way_and_refuses_the_rest(clock):
    begun, done = asyncio.Event(), asyncio.Event()

    class Slow:
        async def put_item(self):
            begun.set()
            await done.wait()
            return "stored"

    slow = Calls(Slow(), "requests", clock)
    writing = asyncio.create_task(slow.make("put_item"))
    await begun.wait()
    closing = asyncio.create_task(slow.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="closed"):
        await slow.make("put_item")
    assert not closing.done()
    done.set()
    await closing
    assert await writing == "stored"
