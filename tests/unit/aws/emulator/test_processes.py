"""Sandboxes as Lambda runs them: real processes with Lambda's own runtime, frozen between invocations, killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from streamer.core.clock import SystemClock
from streamer_aws.emulator.functions import Function, FunctionError
from streamer_aws.emulator.processes import Process

pytestmark = pytest.mark.skipif(
    find_spec("awslambdaric") is None and not os.environ.get("CI"), reason="awslambdaric is not installed"
)

HANDLERS = """
import os, time

def default(event, context):
    what = event.get("do")
    if what == "raise":
        raise ValueError("bad")
    if what == "die":
        os._exit(3)
    if what == "hang":
        time.sleep(60)
    if what == "object":
        return object()
    return {
        "pid": os.getpid(), "echo": event, "left": context.get_remaining_time_in_millis(),
        "name": context.function_name, "arn": context.invoked_function_arn,
        "region": os.environ.get("AWS_REGION"),
    }
"""


@pytest.fixture
async def function(tmp_path, faults, logger):
    """A function whose handler is in a module of its own."""
    (tmp_path / "emulated_handlers.py").write_text(HANDLERS)
    (tmp_path / "broken_handlers.py").write_text("raise RuntimeError('cannot be imported')")
    async with contextlib.AsyncExitStack() as stack:

        def start(handler="emulated_handlers.default", *, sandboxes=1, timeout=20.0):
            environ = {**os.environ, "PYTHONPATH": str(tmp_path), "AWS_REGION": "eu-central-1"}

            async def make():
                return await Process(handler, environ, name="default", timeout=timeout).start()

            one = Function(
                "default",
                make,
                timeout=timeout,
                sandboxes=sandboxes,
                concurrency=10,
                region="eu-central-1",
                faults=faults,
                clock=SystemClock(),
                logger=logger,
            )
            stack.push_async_callback(one.close)
            return one

        yield start


def state(pid):
    """R, S, T (stopped), …; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


async def test_a_real_handler_answers_and_is_frozen_in_between(function):
    one = function()
    first = await one.invoke({"n": 1})
    assert first["echo"] == {"n": 1}
    assert first["name"] == "default"
    assert first["arn"].endswith(":function:default")
    assert first["region"] == "eu-central-1"
    assert 10_000 < first["left"] <= 20_000
    async with asyncio.timeout(90):
        while state(first["pid"]) != "T":
            await asyncio.sleep(0.01)
    second = await one.invoke({"n": 2})
    assert second["pid"] == first["pid"]
    with pytest.raises(FunctionError, match="ValueError: bad"):
        await one.invoke({"do": "raise"})
    with pytest.raises(FunctionError, match=r"Runtime\.MarshalError"):
        await one.invoke({"do": "object"})
    assert (await one.invoke({}))["pid"] == first["pid"]
    await one.close()
    assert state(first["pid"]) == ""


async def test_a_process_that_dies_or_hangs_is_replaced(function, faults):
    one = function()
    first = await one.invoke({})
    with pytest.raises(FunctionError, match="ended with status 3"):
        await one.invoke({"do": "die"})
    faults.plan("killed_sandbox", after=0.3)
    with pytest.raises(FunctionError, match="was killed"):
        await one.invoke({"do": "hang"})
    one.timeout = 0.5
    with pytest.raises(FunctionError, match="timed out after 0.50 seconds"):
        await one.invoke({"do": "hang"})
    one.timeout = 20
    assert (await one.invoke({}))["pid"] != first["pid"]
    assert one.cold_starts == 4


async def test_a_start_that_is_given_up_leaves_nothing_behind(function):
    one = function()
    call = asyncio.create_task(one.invoke({}))
    for _ in range(4):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await one.invoke({"n": 1}))["echo"] == {"n": 1}


async def test_an_emulator_that_is_killed_leaves_no_frozen_process_behind(tmp_path):
    (tmp_path / "emulated_handlers.py").write_text(HANDLERS)
    program = """
import asyncio, os, sys
from streamer_aws.emulator.functions import Invocation
from streamer_aws.emulator.processes import Process

async def main():
    sandbox = await Process("emulated_handlers.default", os.environ, name="default", timeout=20).start()
    await sandbox.invoke(b"{}", Invocation("1", "default", "arn", 2e9))
    print(sandbox.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    emulator = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    pid = int(await emulator.stdout.readline())
    async with asyncio.timeout(90):
        while state(pid) != "T":
            await asyncio.sleep(0.01)
        emulator.kill()
        await emulator.wait()
        while state(pid) not in ("", "Z"):
            await asyncio.sleep(0.01)


async def test_a_handler_that_cannot_be_loaded_says_why(function):
    one = function("broken_handlers.default")
    with pytest.raises(FunctionError, match="cannot be imported"):
        await one.invoke({})


async def test_a_process_that_cannot_be_started_leaves_nothing_behind(faults):
    with pytest.raises(ValueError, match="null byte"):
        await Process("emulated_handlers.default", {"A": "\0"}, name="default", timeout=1).start()
