"""The process of a pool: receives jobs, runs them, and sends progress and outcomes back."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import queue
import signal
import threading
from collections import deque
from typing import Any, Final

from streamer.core.errors import Error
from streamer.core.foreign_code import describe, format_traceback, notes_of, safe_text
from streamer.core.messages import Reporter
from streamer.subprocesses.child import Channel

PAUSE: Final = 0.02
"""Minimum seconds between two sent reports: a function that reports in a tight loop must not flood its parent."""


class Outbox:
    """Sends the newest report, immediately after a pause, otherwise when the interval since the last one is over."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        # Held while sending, which may block; reporting never takes it, so the function is never blocked.
        self._sending = threading.Lock()
        self._newest: deque[tuple[float, str, dict[str, Any]]] = deque(maxlen=1)
        self._wake = threading.Event()
        self._never = threading.Event()

    def put(self, percentage: float, message: str, metadata: dict[str, Any]) -> None:
        """Stores a report, replacing an older one that has not been sent."""
        self._newest.append((percentage, message, metadata))
        if not self._wake.is_set():
            self._wake.set()

    def finish(self, outcome: bytes) -> None:
        """Sends the newest report, if it has not been sent, and the outcome of the job."""
        with self._sending:
            self._channel.send(*self._unsent(), outcome)

    def serve(self) -> None:
        """Sends reports until the parent is gone; runs in a thread."""
        with contextlib.suppress(OSError):
            while True:
                self._wake.wait()
                self._wake.clear()
                with self._sending:
                    unsent = self._unsent()
                    if unsent:
                        self._channel.send(*unsent)
                self._never.wait(PAUSE)

    def _unsent(self) -> list[bytes]:
        try:
            percentage, message, metadata = self._newest.popleft()
        except IndexError:
            return []
        try:
            # Encoded separately: if metadata cannot be decoded, only the metadata is lost, not the job.
            packed = pickle.dumps(metadata) if metadata else b""
        except BaseException:  # noqa: BLE001 - nor does metadata that cannot be sent
            packed = b""
        return [pickle.dumps(("progress", percentage, message, packed))]


class ChannelReporter(Reporter):
    """The reporter of one job."""

    __slots__ = ("_metadata", "_outbox")

    def __init__(self, outbox: Outbox) -> None:
        self._outbox: Outbox | None = outbox
        self._metadata: dict[str, Any] = {}

    def report(self, percentage: float, message: str = "", **metadata: Any) -> None:
        outbox = self._outbox
        if outbox is not None:
            outbox.put(_number(percentage), str.__str__(str(message)), {**self._metadata, **metadata})

    def set_metadata(self, key: str, value: Any) -> None:
        self._metadata = {**self._metadata, key: value}

    def close(self) -> None:
        """The job has ended: later reports of its threads must not count for the next job."""
        self._outbox = None


def main(channel: Channel) -> None:
    """Runs jobs until the parent is gone. A job that is running then ends with the process."""
    _let_programs_be_stopped()
    jobs: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    busy = threading.Event()
    outbox = Outbox(channel)
    threading.Thread(target=_receive, args=(channel, jobs, busy), name="streamer-receive", daemon=True).start()
    threading.Thread(target=outbox.serve, name="streamer-progress", daemon=True).start()
    with contextlib.suppress(OSError):
        while (job := jobs.get()) is not None:
            reporter = ChannelReporter(outbox)
            outcome = run(job, reporter)
            reporter.close()
            # Before the outcome is sent: the parent may send the next job as soon as it has it.
            busy.clear()
            outbox.finish(outcome)


def run(job: bytes, reporter: Reporter) -> bytes:
    """Runs one job and returns its outcome, encoded."""
    try:
        function, options, request = pickle.loads(job)  # noqa: S301 - from our own parent
        request.progress = reporter
        value = function(request, **options)
    except Error as error:
        return _pickled_error(error)
    except BaseException as problem:  # noqa: BLE001 - it belongs to the caller, SystemExit included
        return _pickled_failure(describe(problem), format_traceback(problem))
    try:
        return pickle.dumps(("returned", value))
    except BaseException as problem:  # noqa: BLE001 - pickling runs the code of whatever was returned
        return _pickled_failure(
            f"the handler's function returned a {type(value).__name__} that cannot be sent back: {describe(problem)}",
            format_traceback(problem),
        )


def _pickled_error(error: Error) -> bytes:
    notes = notes_of(error)
    try:
        return pickle.dumps(("error", error.code, error.message, error.details, error.retryable, notes))
    except BaseException as problem:  # noqa: BLE001 - as above
        notes.append(f"the details of this error cannot be sent: {describe(problem)}")
        return pickle.dumps(("error", safe_text(error.code), safe_text(error.message), {}, _holds(error), notes))


def _holds(error: Error) -> bool:
    try:
        return bool(error.retryable)
    except BaseException:  # noqa: BLE001 - as above
        return False


def _pickled_failure(text: str, where: str) -> bytes:
    return pickle.dumps(("failed", text, [where]))


def _receive(channel: Channel, jobs: queue.SimpleQueue[bytes | None], busy: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while messages := channel.receive():
            busy.set()
            for message in messages:
                jobs.put(message)
    if busy.is_set():
        # The parent has died: the job's result is useless, and it might compute for hours.
        _end_with_programs()
    jobs.put(None)


def _end_with_programs() -> None:
    """Ends this process, and the programs that the function runs: they must not run at the same time as those of the
    next attempt.
    """
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _number(percentage: Any) -> float:
    try:
        return float(percentage)
    except (TypeError, ValueError):
        return math.nan


def _let_programs_be_stopped() -> None:
    """An ignored signal stays ignored in every program that a handler starts; a caught one does not."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _nothing)


def _nothing(_number: int, _frame: Any) -> None:
    """The parent decides when its children end."""
