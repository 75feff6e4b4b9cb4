from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from streamer.subprocesses import child
from streamer.subprocesses.child import Channel
from streamer.subprocesses.framing import frame


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Channel(theirs)


def test_receive_returns_all_that_has_come(ends):
    ours, channel = ends
    ours.sendall(frame(b"one") + frame(b"") + frame(b"three"))
    assert channel.receive() == [b"one", b"", b"three"]


def test_receive_waits_for_the_rest_of_a_message(ends):
    ours, channel = ends
    whole = frame(b"x" * 1_000_000)
    sender = threading.Thread(target=ours.sendall, args=(whole,))
    sender.start()
    assert channel.receive() == [b"x" * 1_000_000]
    sender.join()


def test_receive_returns_more_than_one_reading_holds(ends):
    ours, channel = ends
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
    ours.setblocking(False)
    messages = [b"%06d" % n + b"x" * 994 for n in range(350)]
    sent = ours.send(b"".join(map(frame, messages)))
    whole = sent // len(frame(messages[0]))
    assert channel.receive() == messages[:whole]


def test_receive_comes_to_an_end_however_fast_the_parent_is(ends, monkeypatch):
    monkeypatch.setattr(child, "_READ_SIZE", 1000)
    monkeypatch.setattr(child, "_TAKE_AT_MOST", 2000)
    ours, channel = ends
    ours.sendall(frame(b"x" * 96) * 100)
    assert len(channel.receive()) == 20
    assert len(channel.receive()) == 20


def test_receive_returns_nothing_when_the_parent_was_killed_before_it_had_read_everything(ends):
    ours, channel = ends
    channel.send(b"never read")
    ours.close()
    assert channel.receive() == []


def test_receive_returns_nothing_when_the_parent_is_gone(ends):
    ours, channel = ends
    ours.sendall(frame(b"cut")[:-1])
    ours.close()
    assert channel.receive() == []


def test_several_messages_are_sent_in_order(ends):
    ours, channel = ends
    channel.send(b"one", b"two")
    assert ours.recv(100) == frame(b"one") + frame(b"two")


def test_send_says_that_the_parent_is_gone(ends):
    ours, channel = ends
    ours.close()
    with pytest.raises(BrokenPipeError):
        channel.send(b"anyone?")


def start_by_hand(target, **streams):
    """The program as `Child` starts it, with the parent's end in the test's hand."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamer.subprocesses.child", str(theirs.fileno()), target, "-1"],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            **streams,
        )
    return ours, process


ECHO = """
    def main(channel):
        channel.send(b"up")
        while messages := channel.receive():
            channel.send(*messages)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_does_not_end_a_child(target, number):
    ours, process = start_by_hand(target(ECHO))
    with ours, process:
        channel = Channel(ours)
        assert channel.receive() == [b"up"]
        process.send_signal(number)
        channel.send(b"still there?")
        assert channel.receive() == [b"still there?"]
        ours.close()
        assert process.wait(30) == 0


def test_the_end_of_the_parent_ends_the_child(target):
    ours, process = start_by_hand(target(ECHO))
    with process:
        Channel(ours).receive()
        ours.close()
        assert process.wait(30) == 0


STARTS_A_PROGRAM = """
    import subprocess, sys
    REPORT = "from signal import *; print(getsignal(SIGINT) is default_int_handler, getsignal(SIGTERM) is SIG_DFL)"
    def main(channel):
        channel.send(subprocess.run([sys.executable, "-c", REPORT], stdout=subprocess.PIPE).stdout)
"""


def test_a_program_that_a_child_starts_can_be_ended_by_signals(target):
    ours, process = start_by_hand(target(STARTS_A_PROGRAM))
    with ours, process:
        assert Channel(ours).receive() == [b"True True\n"]


LEAVES_A_PROGRAM = """
    import subprocess
    def main(channel):
        subprocess.Popen(["cat"], close_fds=False)
        channel.send(b"started")
        channel.receive()
"""


def test_a_program_that_a_child_leaves_behind_does_not_hide_its_end(target):
    # The program lives for as long as the test holds its stdin, which the child handed on to it.
    ours, process = start_by_hand(target(LEAVES_A_PROGRAM), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with ours, process:
        assert Channel(ours).receive() == [b"started"]
        process.kill()
        ours.settimeout(30)
        assert ours.recv(1) == b""
