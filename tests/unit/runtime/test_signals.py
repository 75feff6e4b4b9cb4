"""Every signal that asks a service to stop drains it; one that it was started to ignore stays ignored."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from streamer.runtime.signals import STOP_SIGNALS, on_stop


@pytest.fixture
async def sent():
    """`await sent(number)`: sends it to this process and waits until the loop has handled it."""
    loop = asyncio.get_running_loop()

    async def send(number):
        handled = asyncio.Event()
        os.kill(os.getpid(), number)
        loop.call_later(0.02, handled.set)
        await handled.wait()

    yield send
    for number in STOP_SIGNALS:
        loop.remove_signal_handler(number)


@pytest.mark.parametrize("first", STOP_SIGNALS)
@pytest.mark.parametrize("second", STOP_SIGNALS)
async def test_the_first_signal_stops_and_a_second_one_forces_it(sent, first, second):
    stop, stop_now = asyncio.Event(), asyncio.Event()
    on_stop(stop, stop_now)
    await sent(first)
    assert (stop.is_set(), stop_now.is_set()) == (True, False)
    await sent(second)
    assert stop_now.is_set() is (second is not signal.SIGHUP)


def test_a_service_that_was_started_by_nohup_goes_on_when_the_terminal_is_closed():
    source = (
        "import asyncio, os, signal\n"
        "from streamer.runtime.signals import on_stop\n"
        "async def main():\n"
        "    stop = asyncio.Event()\n"
        "    on_stop(stop, stop)\n"
        "    for number in (signal.SIGHUP, signal.SIGQUIT):\n"
        "        os.kill(os.getpid(), number)\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    await seen.wait()\n"
        "    print(stop.is_set())\n"
        "async def run():\n"
        "    global seen\n"
        "    seen = asyncio.Event()\n"
        "    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, seen.set)\n"
        "    await main()\n"
        "asyncio.run(run())\n"
    )
    command = ["sh", "-c", 'trap "" HUP QUIT; exec "$0" -c "$1"', sys.executable, source]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout == "False\n"
