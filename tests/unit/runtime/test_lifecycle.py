"""One life for every process: it runs until a signal or a failure, drains, and closes what it opened."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from typing import Any

import pytest

from streamer.core.errors import StoreUnavailable
from streamer.runtime.lifecycle import YOUNG_OBJECTS, Lifecycle, exempt_from_collection
from streamer.runtime.signals import STOP_SIGNALS
from streamer.stores.memory import MemoryStore
from streamer.testing import RecordingLogger


class RecordedProcess:
    """Notes what is asked of it. Its drain ends when `drained` is set, or at once where it has no time."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.drained = asyncio.Event()
        self.fails: BaseException | None = None

    def tasks(self) -> dict[str, Any]:
        self.calls.append("tasks")
        return {"work": self._work()}

    async def _work(self) -> None:
        if self.fails is not None:
            raise self.fails
        try:
            await asyncio.Event().wait()
        finally:
            self.calls.append("work cancelled")

    def ready(self) -> None:
        self.calls.append("ready")

    def under_way(self) -> dict[str, int]:
        return {"running": 7}

    def begin_drain(self) -> None:
        self.calls.append("begin drain")

    async def drain(self, queued: float, direct: float) -> int:
        self.calls.append(("drain", queued, direct))
        if queued or direct:
            try:
                await self.drained.wait()
            except asyncio.CancelledError:
                self.calls.append("drain given up")
                raise
        return 3

    async def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
async def process():
    yield RecordedProcess()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.fixture
def logger():
    return RecordingLogger()


async def started(process, logger, store=None):
    """A process that runs, as a task."""
    running = asyncio.create_task(Lifecycle(60.0, logger).run(process, store or MemoryStore()))
    async with asyncio.timeout(10):
        while "ready" not in process.calls:
            await asyncio.sleep(0)
    return running


async def test_a_signal_drains_then_cancels_the_tasks_then_closes(process, logger):
    running = await started(process, logger)
    os.kill(os.getpid(), signal.SIGTERM)
    await logger.until("draining")
    process.drained.set()
    await running
    steps = ["begin drain", ("drain", 60.0, 60.0), "work cancelled", "close"]
    assert process.calls == ["tasks", "ready", *steps]
    assert logger.lines == [
        ("info", "draining", {"running": 7}),
        ("info", "stopped", {"returned_to_queue": 3}),
    ]


async def test_a_second_signal_gives_the_drain_no_more_time(process, logger):
    running = await started(process, logger)
    os.kill(os.getpid(), signal.SIGTERM)
    await logger.until("draining")
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert process.calls[3:6] == [("drain", 60.0, 60.0), "drain given up", ("drain", 0.0, 0.0)]
    assert ("warning", "second signal: stopping now", {}) in logger.lines


async def test_the_end_of_a_task_drains_and_is_raised(process, logger):
    process.fails = RuntimeError("a fault of ours")
    process.drained.set()
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await (await started(process, logger))
    assert process.calls == ["tasks", "ready", "begin drain", ("drain", 60.0, 60.0), "close"]


async def test_a_store_that_has_failed_takes_nothing_back_so_queued_requests_get_no_time(process, logger):
    class Failed(MemoryStore):
        async def failed(self) -> None:
            return

    process.drained.set()
    with pytest.raises(StoreUnavailable, match="has failed permanently: without a reason"):
        await (await started(process, logger, Failed()))
    assert ("drain", 0.0, 60.0) in process.calls


async def test_one_that_is_cancelled_drains_and_closes_too(process, logger):
    running = await started(process, logger)
    process.drained.set()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    assert process.calls[-1] == "close"


@pytest.fixture
def collector():
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.mark.usefixtures("collector")
def test_the_garbage_collector_does_not_look_at_what_a_start_made():
    made = [[] for _ in range(100)]
    exempt_from_collection()
    assert gc.get_freeze_count() > len(made)
    assert gc.get_threshold()[0] == YOUNG_OBJECTS


@pytest.mark.usefixtures("collector")
def test_what_is_made_later_is_collected_as_ever():
    exempt_from_collection()
    cycle = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
