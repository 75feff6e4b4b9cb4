"""Lines to a descriptor: never waiting, never failing, bounded, and what was dropped is counted."""

from __future__ import annotations

import errno
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import threading
import tty

import pytest

from streamer.streams import sink as module
from streamer.streams.sink import Sink
from streamer.testing import ManualClock

GUARD = 90.0


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end is not None:
            os.close(end)


def lines(count, start=0):
    return [b"line %06d %s\n" % (number, b"x" * 80) for number in range(start, start + count)]


def read_until(descriptor, end, into=b""):
    """Reads until what came ends so; the test's own timeout is its guard."""
    while not into.endswith(end):
        into += os.read(descriptor, 65536)
    return into


def ways(monkeypatch, way):
    if way == "polled":
        monkeypatch.setattr(module, "_opened_anew", lambda _: None)


WAYS = pytest.mark.parametrize("way", ["reopened", "polled"])


@WAYS
def test_a_line_is_there_when_the_call_returns(pipe, monkeypatch, way):
    ways(monkeypatch, way)
    Sink(pipe[1]).write(b"a line\n")
    assert os.read(pipe[0], 100) == b"a line\n"


@WAYS
def test_a_reader_that_does_not_read_holds_nobody_up_and_gets_all_in_order_later(pipe, monkeypatch, way):
    ways(monkeypatch, way)
    sink = Sink(pipe[1])
    wanted = lines(3000)
    for line in wanted:
        sink.write(line)
    assert read_until(pipe[0], wanted[-1]) == b"".join(wanted)
    assert sink.flush(GUARD)


def test_what_does_not_fit_is_dropped_counted_and_said_when_there_is_room(pipe):
    sink = Sink(pipe[1], limit=10_000)
    sink.notice = lambda count: b"%d dropped\n" % count
    for line in lines(3000):
        sink.write(line)
    came = read_until(pipe[0], b" dropped\n")
    *kept, notice = came.splitlines(keepends=True)
    assert kept == lines(len(kept))
    assert int(notice.split()[0]) == 3000 - len(kept)
    sink.write(b"afterwards\n")
    assert read_until(pipe[0], b"afterwards\n") == b"afterwards\n"


def test_the_count_comes_where_the_lines_are_missing(pipe):
    sink = Sink(pipe[1], limit=10_000)
    sink.notice = lambda count: b"%d dropped\n" % count
    for line in lines(3000):
        sink.write(line)
    # Capacity again, and the next line comes before anybody has drained the rest.
    sink._size = 0
    sink.write(b"next\n")
    came = read_until(pipe[0], b"next\n").splitlines()
    assert came[-2].endswith(b" dropped")


def test_the_shared_descriptor_keeps_its_own_mode(pipe):
    sink = Sink(pipe[1])
    sink.write(b"a line\n")
    assert os.get_blocking(pipe[1])


def test_a_reader_that_has_gone_fails_nobody(pipe):
    os.close(pipe[0])
    pipe[0] = None
    clock = ManualClock()
    sink = Sink(pipe[1], limit=1000, clock=clock)
    for line in lines(100):
        sink.write(line)
    assert not sink.flush(0.0)
    assert sink._dropped > 80


async def test_after_an_error_it_is_tried_again_once_a_pause(tmp_path):
    clock = ManualClock()
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    sink = Sink(descriptor, clock=clock)
    tries = []

    def full(data):
        tries.append(data)
        raise OSError(errno.ENOSPC, "full")

    put, sink._put = sink._put, full
    sink._thread = threading.current_thread()  # no helper: the test decides when it is tried
    sink.write(b"one\n")
    sink.write(b"two\n")
    assert tries == [b"one\n"]
    await clock.advance(module.PAUSE)
    sink._put = put
    sink.write(b"three\n")
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    os.close(descriptor)


def test_a_file_beyond_its_limit_fails_nobody_and_goes_on_when_it_may(tmp_path):
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sink = Sink(descriptor)
    wanted = lines(100)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        for line in wanted:
            sink.write(line)
        assert path.stat().st_size == 1000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert sink.flush(GUARD)
    assert path.read_bytes() == b"".join(wanted)
    os.close(descriptor)


def test_a_terminal_that_is_not_read_holds_nobody_up():
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    sink = Sink(theirs)
    wanted = lines(2000)
    for line in wanted:
        sink.write(line)
    assert read_until(ours, wanted[-1]) == b"".join(wanted)
    os.close(ours)
    os.close(theirs)


def test_a_socket_that_is_not_read_holds_nobody_up():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink(theirs.fileno())
        wanted = lines(20_000)
        for line in wanted:
            sink.write(line)
        came = b""
        while not came.endswith(wanted[-1]):
            came += ours.recv(65536)
        assert came == b"".join(wanted)
        assert theirs.getblocking()


def open_as(number, path):
    """Opens a file so that it gets that number, as the next file of a process may."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)


def test_a_descriptor_that_was_closed_before_is_not_written_to_when_a_file_gets_its_number(tmp_path):
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.close(descriptor)
    sink = Sink(descriptor)
    open_as(descriptor, tmp_path / "other")
    sink.write(b"nobody reads this\n")
    assert sink.flush(GUARD)
    os.close(descriptor)
    assert (tmp_path / "other").read_bytes() == b""


def test_a_descriptor_that_is_closed_meanwhile_is_not_written_to_when_a_file_gets_its_number(tmp_path):
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    sink = Sink(descriptor)
    sink.write(b"one\n")
    os.close(descriptor)
    sink.write(b"two\n")
    open_as(descriptor, tmp_path / "other")
    sink.write(b"three\n")
    assert sink.flush(GUARD)
    os.close(descriptor)
    assert (tmp_path / "log").read_bytes() == b"one\n"
    assert (tmp_path / "other").read_bytes() == b""


def test_another_file_of_the_same_number_is_not_taken_for_it(tmp_path, monkeypatch):
    descriptor = os.open(os.devnull, os.O_WRONLY)
    other = tmp_path / "other"
    other.touch()
    monkeypatch.setattr(module.os, "open", lambda *_, opened=os.open: opened(other, os.O_WRONLY))
    assert module._opened_anew(descriptor) is None
    os.close(descriptor)


def test_lines_of_many_threads_arrive_whole(pipe):
    sink = Sink(pipe[1])
    threads = [
        threading.Thread(target=lambda n=n: [sink.write(line) for line in lines(300, n * 1000)]) for n in range(8)
    ]
    came = bytearray()
    reading = threading.Thread(
        target=lambda: [came.extend(data) for data in iter(lambda: os.read(pipe[0], 65536), b"")]
    )
    reading.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.flush(GUARD)
    os.close(sink._descriptor)
    os.close(pipe[1])
    pipe[1] = None
    reading.join()
    assert sorted(came.splitlines(keepends=True)) == sorted(line for n in range(8) for line in lines(300, n * 1000))


def test_a_call_in_the_middle_of_another_leaves_its_line_to_it(pipe):
    sink = Sink(pipe[1])
    put = sink._put

    def put_and_collect(data):
        sink._put = put
        # As a destructor does that a collector runs here.
        sink.write(b"of a destructor\n")
        return put(data)

    sink._put = put_and_collect
    sink.write(b"a line\n")
    assert sink.flush(GUARD)
    assert os.read(pipe[0], 100) == b"a line\nof a destructor\n"


def test_a_system_that_gives_no_thread_still_has_the_callers(pipe, monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    sink = Sink(pipe[1])
    wanted = lines(1000)
    for line in wanted:
        sink.write(line)
    came = os.read(pipe[0], 1 << 20)
    while len(came) < sum(map(len, wanted)):
        sink.flush(0.0)
        came += os.read(pipe[0], 1 << 20)
    assert came == b"".join(wanted)


ANOTHER_USERS_TERMINAL = """
import os, sys

os.setsid()
terminal = os.open(sys.argv[1], os.O_RDWR)
opened = os.open

def refusing(path, *arguments):
    if path.startswith("/proc/self/fd/"):
        raise PermissionError(path)
    return opened(path, *arguments)

os.open = refusing
from streamer.streams.sink import Sink

sink = Sink(terminal)
for _ in range(5_000):
    sink.write(b"y" * 99 + b"\\n")
print("written or waiting", flush=True)
os._exit(0)
"""


def test_a_terminal_of_another_user_that_nobody_reads_is_not_waited_for():
    """As under `sudo -u` and `su`: it cannot be opened under its own name."""
    ours, theirs = os.openpty()
    ran = subprocess.run(
        [sys.executable, "-c", ANOTHER_USERS_TERMINAL, os.ttyname(theirs)], capture_output=True, timeout=30, check=False
    )
    os.close(theirs)
    os.close(ours)
    assert (ran.stdout, ran.stderr) == (b"written or waiting\n", b"")
