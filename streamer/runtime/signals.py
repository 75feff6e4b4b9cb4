"""The signals that stop a process: all of them have the same effect."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_LEFT_IGNORED: Final = frozenset({signal.SIGHUP, signal.SIGQUIT})
"""`nohup`, and a shell for background processes, make a process ignore them: then it must continue."""


def on_stop(
    stop: asyncio.Event, stop_now: asyncio.Event, at_once: Callable[[int, FrameType | None], None] | None = None
) -> None:
    """Sets `stop` at the first signal that asks the process to stop, and `stop_now` at a second one.

    A second SIGHUP does not count: closing a terminal may send it twice.

    Args:
        stop: set by the loop.
        stop_now: likewise.
        at_once: called for each signal, in the middle of any running code, even if that blocks the loop.
    """
    loop = asyncio.get_running_loop()

    def received(number: signal.Signals) -> None:
        if not stop.is_set():
            stop.set()
        elif number is not signal.SIGHUP:
            stop_now.set()

    for number in STOP_SIGNALS:
        if number not in _LEFT_IGNORED or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, received, number)
            if at_once is not None:
                # The loop is notified of signals by a descriptor, and its own handler does nothing.
                signal.signal(number, at_once)
                signal.siginterrupt(number, False)  # noqa: FBT003 - the standard library's own signature
