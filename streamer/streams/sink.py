"""Writes lines to a file descriptor without waiting for it and without failing."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import select
import socket
import stat
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from streamer.core.clock import Clock, SystemClock

LIMIT: Final = 2 * 1024 * 1024
"""Maximum bytes of buffered lines. Further lines are dropped, and counted."""
PAUSE: Final = 0.5
"""Seconds between two tries after an error, such as a full disk or a closed reader."""
AT_ONCE: Final = 64
"""Maximum buffered lines that one call writes, so that its caller is not delayed."""
PIECE: Final = 512
"""Bytes of one write when only a poll says whether it would wait: the minimum that a POSIX pipe accepts atomically."""

_ANEW: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND

Put = Callable[[bytes], int]
"""Writes what fits without waiting, and returns the number of bytes; zero may also be a BlockingIOError."""


class Sink:
    """Writes lines in order: immediately if that is possible without waiting, otherwise as soon as it is.

    `write` may be called from any thread, also from a destructor that runs in the middle of another call. It needs no
    lock that is held for long. A daemon thread is started the first time that a line must wait.

    Args:
        descriptor: to write to; it is not closed. Once it turns out to be closed, lines are silently dropped.
        limit: maximum buffered bytes.
        clock: time.
    """

    def __init__(self, descriptor: int, *, limit: int = LIMIT, clock: Clock | None = None) -> None:
        self.notice: Callable[[int], bytes] = lambda count: b"%d lines of the log were dropped\n" % count
        """Creates the line with the number of dropped lines."""
        self._descriptor, self._put = _way_to(descriptor)
        self._limit = limit
        self._clock = clock or SystemClock()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._retry_at = 0.0
        self._writing = threading.Lock()
        self._stalled = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Writes or buffers a line, including its line break."""
        if not (self._waiting or self._dropped) and self._writing.acquire(blocking=False):
            # The buffer is empty: most lines are written here.
            try:
                rest = self._attempt(line)
                if not rest:
                    return
                self._waiting.appendleft(rest)
                self._size += len(rest)
            finally:
                self._writing.release()
        elif self._size > self._limit:
            self._dropped += 1
        else:
            if self._dropped:
                self._note_dropped()
            self._waiting.append(line)
            self._size += len(line)
        self._drain()

    def _attempt(self, line: bytes) -> bytes:
        """Returns what could not be written. Called with the lock held."""
        if self._retry_at and self._clock.monotonic() < self._retry_at:
            return line
        try:
            written = self._put(line)
        except BlockingIOError:
            written = 0
        except OSError as problem:
            if problem.errno == errno.EBADF:
                # Never again: the next opened file may get this number, and would get the lines.
                self._put = len
                return b""
            self._retry_at = self._clock.monotonic() + PAUSE
            return line
        self._retry_at = 0.0
        return line[written:]

    def flush(self, timeout: float) -> bool:
        """Waits this many seconds for the buffered lines. Returns whether all were written.

        Returns immediately if writing fails, since it would fail again a moment later.
        """
        ends_at = self._clock.monotonic() + timeout
        self._retry_at = 0.0
        while not self._drain():
            left = ends_at - self._clock.monotonic()
            if self._retry_at or left <= 0:
                return False
            self._until_writable(left)
        return True

    def _drain(self) -> bool:
        """Writes what can be written now. Returns whether nothing is left.

        A caller that cannot get the lock leaves its line to the caller that holds it, which checks once more after
        releasing it.
        """
        while self._waiting or self._dropped:
            if not self._writing.acquire(blocking=False):
                return False
            try:
                going_on = self._write_some()
            finally:
                self._writing.release()
            if not going_on:
                self._hand_over()
                return False
        return True

    def _write_some(self) -> bool:
        """Returns False when writing must wait, or when other callers should continue with a long backlog."""
        waiting = self._waiting
        for _ in range(AT_ONCE):
            if not waiting:
                if not self._dropped:
                    # Counting in several threads at once may be slightly off; here the value is exact again.
                    self._size = 0
                    return True
                self._note_dropped()
            line = waiting[0]
            rest = self._attempt(line)
            self._size -= len(line) - len(rest)
            if rest:
                waiting[0] = rest
                if len(rest) == len(line):
                    return False
            else:
                waiting.popleft()
        return not waiting

    def _note_dropped(self) -> None:
        count, self._dropped = self._dropped, 0
        line = self.notice(count)
        self._waiting.append(line)
        self._size += len(line)

    def _hand_over(self) -> None:
        self._stalled.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="streamer-log", daemon=True)
            # Without a thread to start, callers still try again with each line.
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    def _serve(self) -> None:
        while True:
            self._stalled.wait()
            self._stalled.clear()
            while not self._drain():
                self._until_writable(PAUSE)

    def _until_writable(self, seconds: float) -> None:
        if self._retry_at:
            # A broken pipe counts as writable.
            threading.Event().wait(min(seconds, PAUSE))
            return
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll(seconds * 1000)


def _way_to(descriptor: int) -> tuple[int, Put]:
    """The descriptor to wait for, and how to write to it without waiting.

    O_NONBLOCK is never set on the descriptor itself: it would affect every process that shares it, such as the shell of
    the terminal.
    """
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return descriptor, len  # It is closed; a later file with the same number must not be used.
    if stat.S_ISSOCK(mode):
        sock = socket.socket(fileno=os.dup(descriptor))
        return sock.fileno(), lambda data: sock.send(data, socket.MSG_DONTWAIT)
    if not stat.S_ISREG(mode):
        own = _opened_anew(descriptor)
        if own is None:
            return descriptor, lambda data: _polled(descriptor, data)
        descriptor = own
    # A file never waits for a reader.
    return descriptor, functools.partial(os.write, descriptor)


def _opened_anew(descriptor: int) -> int | None:
    """A separate, non-blocking description of the same pipe or terminal; None where the system has none."""
    try:
        own = os.open(f"/proc/self/fd/{descriptor}", _ANEW)
    except OSError:
        return _controlling_terminal(descriptor)
    if os.path.sameopenfile(own, descriptor):
        return own
    os.close(own)
    return None


def _controlling_terminal(descriptor: int) -> int | None:
    """The same for a terminal that belongs to another user, as with `sudo -u` and `su`."""
    try:
        os.tcgetpgrp(descriptor)  # Fails for all but the controlling terminal, which is /dev/tty.
        return os.open("/dev/tty", _ANEW)
    except OSError:
        return None


def _polled(descriptor: int, data: bytes) -> int:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return os.write(descriptor, data[:PIECE]) if poll.poll(0) else 0
