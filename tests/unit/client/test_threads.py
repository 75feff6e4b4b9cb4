"""Promises of the thread that runs a loop for those who block."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from streamer.client.threads import LoopThread


def test_stopping_cancels_what_does_not_end_by_itself(monkeypatch):
    monkeypatch.setattr("streamer.client.threads._GRACE", 0.01)
    started = threading.Event()

    async def for_ever():
        started.set()
        await asyncio.Event().wait()

    thread = LoopThread()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: thread.run(for_ever()))
        started.wait()
        thread.stop()
        with pytest.raises(CancelledError):
            waiting.result()


def test_what_is_run_after_the_stop_still_returns():
    async def seven():
        return 7

    thread = LoopThread()
    assert thread.run(seven()) == 7
    thread.stop()
    assert thread.run(seven()) == 7
