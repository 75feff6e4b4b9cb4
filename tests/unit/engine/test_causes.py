"""Why an attempt failed is stored with it, for operators; clients learn nothing of it."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from streamer.contracts.components import BuildContext, FunctionTarget
from streamer.contracts.middleware import Middleware
from streamer.core.clock import SystemClock
from streamer.core.errors import Error
from streamer.engine.causes import LONGEST_TRACEBACK, cause_of
from streamer.handlers import command
from streamer.handlers.functions import adapt
from streamer.handlers.pools import Pools
from streamer.middlewares.timeout import Timeout

KEY = ("client:one", "r")


def broken(request):
    table = {"rows": 3}
    return table["the column that is missing"]


async def broken_async(request):
    await asyncio.sleep(0)
    try:
        broken(request)
    except KeyError as problem:
        raise RuntimeError("the report could not be made") from problem


async def not_json(request):
    return {"when": object()}


async def against_schema(request):
    return "text"


async def known(request):
    raise Error("ODD", "an error of the handler's own", retryable=True)


async def too_slow(request):
    await the_slow_part()


async def the_slow_part():
    await asyncio.Event().wait()


async def refused_by_a_middleware(request):
    return 1


class BadMiddleware(Middleware):
    async def process(self, request, next, /):
        raise ZeroDivisionError("in the middleware")


class Panic(BaseException):
    """What a Rust extension raises."""


async def panics(request):
    raise Panic("index out of bounds")


@pytest.fixture
async def pools():
    made = Pools(threads=1, direct_threads=1, processes=1, direct_processes=1)
    yield made
    await made.close()


def in_thread(pools, _path):
    return adapt(FunctionTarget(broken, {}), pools=pools)


def in_process(pools, _path):
    return adapt(FunctionTarget(broken, {}, cpu_bound=True), pools=pools)


def as_program(_pools, path):
    program = path / "program.py"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('the disk of the program is full')\n")
    program.chmod(0o755)
    return command.build({"argv": ["./program.py"]}, BuildContext(base_dir=path, clock=SystemClock()))


async def until_ended(house):
    async with asyncio.timeout(90):
        while True:
            await house.settle()
            record = await house.store.get(KEY)
            if record.terminal or record.history:
                return record
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("handler", "options", "kind", "said"),
    [
        (broken_async, {}, "RuntimeError", ["KeyError: 'the column that is missing'", "in broken\n", "direct cause"]),
        (in_thread, {}, "KeyError", ["in broken\n", "the column that is missing"]),
        (in_process, {}, "ProcessFailed", ["KeyError", "in broken\n"]),
        (as_program, {}, "Error", ["exit status 1", "the disk of the program is full"]),
        (not_json, {}, "TypeError", ["not JSON"]),
        (against_schema, {"result_schema": {"type": "object"}}, "Error", ["result_schema"]),
        (known, {}, "Error", ["an error of the handler's own", "in known\n"]),
        (panics, {}, "Panic", ["index out of bounds", "in panics\n"]),
        (
            refused_by_a_middleware,
            {"middlewares": [BadMiddleware()]},
            "ZeroDivisionError",
            ["in the middleware", "in process"],
        ),
        (too_slow, {"timeout": 0.01}, "TimeoutError", ["in the_slow_part\n", "took longer than 10ms"]),
        (
            too_slow,
            {"middlewares": [Timeout(queued_limit=0.01)]},
            "TimeoutError",
            ["in the_slow_part\n", "took longer than 10ms"],
        ),
    ],
    ids=[
        "async with a cause", "thread", "process", "program", "no JSON", "result schema", "an Error", "a panic",
        "middleware", "timeout", "timeout of a middleware",
    ],
)  # fmt: skip
async def test_why_it_failed_is_kept_with_the_attempt_and_no_client_hears_of_it(
    house, pools, tmp_path, handler, options, kind, said
):
    if handler in (in_thread, in_process, as_program):
        handler = handler(pools, tmp_path)
    house.declare("work", handler, mode="async", **options)
    await house.start()
    peer = house.peer()
    house.send(peer, action="work", id="r")
    record = await until_ended(house)
    cause = record.history[-1].cause
    assert cause.type == kind
    assert [text for text in said if text not in cause.traceback + cause.text] == []
    assert cause.traceback.startswith("Traceback") or "\nTraceback" in cause.traceback or kind == "Error"
    house.send(peer, action="streamer.status", id="s", payload={"request_id": "r"})
    house.send(peer, action="streamer.list", id="l")
    house.send(peer, action="streamer.resume", id="m")
    await house.settle()
    heard = json.dumps(peer.messages)
    assert "history" in heard
    assert "Traceback" not in heard
    assert "the column that is missing" not in heard
    assert "cause" not in heard


async def test_each_failed_attempt_of_several_has_its_own(house):
    count = 0

    async def work(request):
        nonlocal count
        count += 1
        raise Error("ODD", f"number {count}", retryable=True)

    house.declare("work", work, mode="async")
    await house.start()
    house.send(house.peer(), action="work", id="r")
    for _ in range(3):
        await house.settle()
        await house.clock.advance(60)
    record = await house.store.get(KEY)
    assert [one.cause.text for one in record.history] == ["number 1", "number 2", "number 3"]


def test_a_long_traceback_is_cut_and_keeps_its_end():
    def deeper(n):
        if n:
            # Two turns, so that no line of the traceback repeats the one before it.
            return [deeper(n - 1)] if n % 2 else (deeper(n - 1),)
        raise ValueError("at the bottom " + "x" * 5000)

    with pytest.raises(ValueError, match="bottom") as raised:
        deeper(200)
    cause = cause_of(raised.value)
    assert len(cause.traceback) < LONGEST_TRACEBACK + 100
    assert "at the bottom" in cause.traceback
    assert len(cause.text) < 1100


def test_what_is_no_text_is_kept_as_text_and_secrets_are_taken_out():
    cause = cause_of(ValueError("half \udcff of hunter22"), lambda text: text.replace("hunter22", "***"))
    assert cause.text == "half \\udcff of ***"
    assert "hunter22" not in cause.traceback
    json.dumps(cause.traceback).encode()
