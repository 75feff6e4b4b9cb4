"""The signals that stop a service: all of them drain it alike."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_LEFT_IGNORED: Final = frozenset({signal.SIGHUP, signal.SIGQUIT})
"""`nohup`, and a shell for what it runs in the background, let a process ignore them: then it is meant to go on."""


def on_stop(stop: asyncio.Event, force_stop: asyncio.Event) -> None:
    """Sets `stop` at the first signal that asks the service to stop, and `force_stop` at a second one.

    A second SIGHUP is no second request: a terminal that is closed may send it twice.
    """
    loop = asyncio.get_running_loop()

    def received(number: signal.Signals) -> None:
        if not stop.is_set():
            stop.set()
        elif number is not signal.SIGHUP:
            force_stop.set()

    for number in STOPPING:
        if number not in _LEFT_IGNORED or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, received, number)
