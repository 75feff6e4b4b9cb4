"""The process of a service ends in time, whatever its handlers have left running or do with the loop."""

from __future__ import annotations

import subprocess
import sys

import pytest

from streamer.runtime import process_exit
from streamer.runtime.process_exit import LoopWatchdog, exiting_in_time
from streamer.testing import RecordingLogger

pytestmark = pytest.mark.service  # it starts services

PROCESS = """
import asyncio, atexit, os, signal, sys, threading, time
from streamer.core.errors import StartError
from streamer.runtime import process_exit
from streamer.runtime.event_loop import close_loop, new_loop
from streamer.runtime.signals import on_stop
from streamer.streams import standard
import streamer.runtime.event_loop

standard._whole_process = True
process_exit.EXIT_GRACE = process_exit.STOP_GRACE = streamer.runtime.event_loop.CLOSE_GRACE = 0.05

class Logger:
    def error(self, event):
        print(event, file=sys.stderr, flush=True)

def hour():
    time.sleep(3600)

async def slowly():
    try:
        while True:
            yield 1
    finally:
        await asyncio.sleep(3600)

async def left_behind():
    global kept
    kept = slowly()
    await kept.__anext__()

async def held():
    stop = asyncio.Event()
    on_stop(stop, stop, process_exit.LoopWatchdog(asyncio.get_running_loop(), 0.05, Logger()).start)
    os.kill(os.getpid(), signal.SIGTERM)
    hour()

async def not_held():
    stop = asyncio.Event()
    on_stop(stop, stop, process_exit.LoopWatchdog(asyncio.get_running_loop(), 0.05, Logger()).start)
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    await asyncio.sleep(0.3)
    raise StartError("ended by itself")

async def main():
    match sys.argv[1]:
        case "to_thread":
            asyncio.create_task(asyncio.to_thread(hour))
        case "thread":
            threading.Thread(target=hour).start()
        case "atexit":
            atexit.register(hour)
        case "generator":
            await left_behind()
        case "held":
            await held()
        case "not held":
            await not_held()
        case "fault":
            threading.Thread(target=hour).start()
            raise ValueError("a fault")
    await asyncio.sleep(0.05)
    print("served", flush=True)

with process_exit.exiting_in_time():
    loop = new_loop()
    try:
        loop.run_until_complete(main())
    finally:
        close_loop(loop)
"""


def run(what):
    return subprocess.run(
        [sys.executable, "-c", PROCESS, what], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("what", ["to_thread", "thread", "atexit", "generator"])
def test_what_handlers_left_running_does_not_keep_the_process(what):
    ended = run(what)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "served\n", "")


def test_a_service_that_failed_says_so_with_its_status():
    ended = run("fault")
    assert ended.returncode == 70
    assert "ValueError: a fault" in ended.stderr


def test_a_handler_that_holds_the_loop_cannot_keep_the_service_from_stopping():
    ended = run("held")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "blocks the event loop" in ended.stderr


def test_a_service_that_answers_is_left_to_end_by_itself():
    ended = run("not held")
    assert ended.returncode == 1
    assert "ended by itself" in ended.stderr
    assert "blocks the event loop" not in ended.stderr


@pytest.fixture
def exits(monkeypatch):
    """Statuses of this process's ends, which do not come."""
    found = []
    monkeypatch.setattr(process_exit, "has_whole_process", lambda: True)
    monkeypatch.setattr(process_exit, "_wait", lambda _: None)
    monkeypatch.setattr(process_exit._thread, "start_new_thread", lambda run, given: run(*given))
    monkeypatch.setattr(process_exit.os, "_exit", found.append)
    monkeypatch.setattr(process_exit, "STOP_GRACE", 0.01)
    return found


class Loop:
    def __init__(self, answer):
        self.call_soon_threadsafe = answer


def closed(_call):
    raise RuntimeError("Event loop is closed")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(lambda call: call(), []), (lambda _call: None, [1]), (closed, [])],
    ids=["answers", "is held", "is closed"],
)
def test_only_a_loop_that_does_not_answer_ends_the_process(exits, answer, expected):
    logger = RecordingLogger()
    watchdog = LoopWatchdog(Loop(answer), 0.01, logger)
    watchdog.start(15, None)
    watchdog.start(15, None)
    assert exits == expected
    assert len(logger.lines) == len(expected)


def test_the_status_is_that_of_what_was_raised(exits):
    with exiting_in_time():
        pass
    with pytest.raises(ValueError, match="x"), exiting_in_time():
        raise ValueError("x")
    assert exits == [0, 70]


def test_where_the_process_is_not_ours_nothing_ends_it(monkeypatch):
    monkeypatch.setattr(process_exit, "has_whole_process", lambda: False)
    monkeypatch.setattr(process_exit._thread, "start_new_thread", lambda *_: pytest.fail("a thread was started"))
    LoopWatchdog(Loop(closed), 0.01, RecordingLogger()).start()
    with exiting_in_time():
        pass


def test_a_wait_lasts_as_long_as_it_says():
    process_exit._wait(0.001)
