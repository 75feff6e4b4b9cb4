"""The loop of a service goes on whatever a handler's own tasks raise."""

from __future__ import annotations

import asyncio
import sys

import pytest

from streamer.runtime.loops import loop_factory, run_until_complete
from tests.unit.engine.conftest import RecordingLogger


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request):
    factory = asyncio.new_event_loop if request.param == "asyncio" else loop_factory()
    loop = factory()
    yield loop
    loop.close()


@pytest.mark.parametrize("problem", [SystemExit(3), KeyboardInterrupt()], ids=["SystemExit", "KeyboardInterrupt"])
def test_a_task_that_tries_to_end_the_process_ends_itself_alone(loop, problem):
    async def leave():
        raise problem

    async def main():
        task = asyncio.ensure_future(leave())
        await asyncio.wait([task])
        await asyncio.sleep(0)
        return task.exception()

    logger = RecordingLogger()
    assert run_until_complete(loop, main(), logger) is problem
    ((level, event, context),) = logger.lines
    assert (level, event, context) == (
        "error", "a task of a handler tried to end the process", {"exc_info": problem},
    )  # fmt: skip


def test_what_the_service_itself_raises_ends_it(loop):
    async def main():
        sys.exit(3)

    logger = RecordingLogger()
    with pytest.raises(SystemExit):
        run_until_complete(loop, main(), logger)
    assert logger.lines == []
