"""Lambda's promises and refusals: one invocation at a time in a sandbox, a time limit, death."""

from __future__ import annotations

import asyncio

import pytest

from streamer.testing import ManualClock
from streamer_aws.emulator.functions import Function, FunctionError, SandboxDied, Throttled
from streamer_aws.emulator.in_process import InProcess


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def function(clock, faults, logger, new_handlers):
    """A function `default`, with the handlers of each of its sandboxes."""
    made = []

    def start(answer=None, *, sandboxes=10, concurrency=10, timeout=29.0, make=None):
        async def new():
            handlers = new_handlers()
            handlers.answers["default"] = answer
            made.append(handlers)
            return InProcess(handlers, "default", clock)

        one = Function(
            "default",
            make or new,
            timeout=timeout,
            sandboxes=sandboxes,
            concurrency=concurrency,
            region="eu-central-1",
            faults=faults,
            clock=clock,
            logger=logger,
        )
        one.made = made
        return one

    return start


async def test_a_sandbox_is_used_again(function):
    one = function({"statusCode": 200})
    assert await one.invoke({"n": 1}) == {"statusCode": 200}
    await one.invoke({"n": 2})
    assert [handlers.events["default"] for handlers in one.made] == [[{"n": 1}, {"n": 2}]]
    assert one.cold_starts == 1
    await one.close()
    assert one.made[0].closed == 1


async def test_a_sandbox_has_one_invocation_at_a_time(function):
    go = asyncio.Event()

    async def wait(_event):
        await go.wait()

    one = function(wait)
    calls = [asyncio.create_task(one.invoke({})) for _ in range(3)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*calls)
    assert one.cold_starts == 3
    assert [len(handlers.events["default"]) for handlers in one.made] == [1, 1, 1]


async def test_who_comes_while_all_sandboxes_are_busy_waits(function):
    one = function({}, sandboxes=1)
    await asyncio.gather(*(one.invoke({}) for _ in range(5)))
    assert one.cold_starts == 1


async def test_beyond_its_concurrency_a_function_is_throttled(function):
    go = asyncio.Event()

    async def wait(_event):
        await go.wait()

    one = function(wait, concurrency=1)
    call = asyncio.create_task(one.invoke({}))
    await asyncio.sleep(0)
    with pytest.raises(Throttled):
        await one.invoke({})
    go.set()
    await call
    await one.invoke({})


async def test_the_context_knows_the_time_that_is_left(function, clock):
    left = []

    async def look(_event):
        (context,) = one.made[0].contexts
        left.append(context.get_remaining_time_in_millis())
        await clock.sleep(1)
        left.append(context.get_remaining_time_in_millis())
        clock.jump(100)
        left.append(context.get_remaining_time_in_millis())
        assert context.function_name == "default"
        assert context.invoked_function_arn.endswith(":function:default")
        assert len(context.aws_request_id) == 36

    one = function(look, timeout=10)
    call = asyncio.create_task(one.invoke({}))
    await clock.advance(1)
    await call
    assert left == [10_000, 9_000, 0]


async def test_what_takes_too_long_is_killed_with_its_sandbox(function, clock):
    async def hang(_event):
        await asyncio.Event().wait()

    one = function(hang, timeout=3)
    call = asyncio.create_task(one.invoke({}))
    await clock.advance(3)
    with pytest.raises(FunctionError, match="Task timed out after 3.00 seconds"):
        await call
    one.made[0].answers["default"] = {}
    call = asyncio.create_task(one.invoke({}))
    await clock.advance(3)
    with pytest.raises(FunctionError):
        await call
    assert one.cold_starts == 2
    await one.close()
    assert [handlers.closed for handlers in one.made] == [1, 1]


async def test_an_exception_of_the_handler_ends_the_invocation_and_not_the_sandbox(function):
    one = function(ValueError("bad"))
    for _ in range(2):
        with pytest.raises(FunctionError, match="ValueError: bad"):
            await one.invoke({})
    assert one.cold_starts == 1


async def test_an_answer_that_is_no_json_is_an_error(function):
    one = function({"statusCode": object()})
    with pytest.raises(FunctionError, match="serializable"):
        await one.invoke({})


async def test_an_event_is_json_with_its_bytes_in_base64(function):
    one = function({})
    await one.invoke({"data": b"\x00"})
    assert one.made[0].events["default"] == [{"data": "AA=="}]
    with pytest.raises(TypeError):
        await one.invoke({"data": object()})


async def test_a_sandbox_can_be_killed_on_demand(function, faults, clock):
    running = asyncio.Event()

    async def hang(_event):
        running.set()
        await asyncio.Event().wait()

    one = function(hang)
    faults.plan("killed_sandbox", subject="default", after=2)
    call = asyncio.create_task(one.invoke({}))
    await running.wait()
    await clock.advance(1)
    assert not call.done()
    await clock.advance(1)
    with pytest.raises(FunctionError, match="Runtime.ExitError"):
        await call
    await one.close()
    assert one.made[0].closed == 1


async def test_a_sandbox_that_dies_by_itself_is_replaced(function, faults):
    class Dying:
        async def invoke(self, _event, _invocation):
            raise SandboxDied("status 1")

        async def kill(self):
            pass

    async def make():
        return Dying()

    one = function(make=make)
    for _ in range(2):
        with pytest.raises(FunctionError, match=r"Runtime\.ExitError: status 1"):
            await one.invoke({})
    assert one.cold_starts == 2
    await one.close()


async def test_a_sandbox_that_cannot_be_made_says_why(function):
    async def make():
        raise OSError("no more processes")

    with pytest.raises(FunctionError, match=r"Runtime\.InitError: OSError: no more processes"):
        await function(make=make).invoke({})


async def test_who_stops_waiting_takes_the_sandbox_with_it(function):
    async def hang(_event):
        await asyncio.Event().wait()

    one = function(hang)
    call = asyncio.create_task(one.invoke({}))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await one.close()
    assert one.made[0].closed == 1
