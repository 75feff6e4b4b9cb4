"""What is printed becomes lines."""

from __future__ import annotations

import io
import subprocess
import sys
import threading

from streamer.streams.lines import LONGEST, LineStream


def printed(*pieces):
    taken = []
    stream = LineStream(taken.append, 2)
    for piece in pieces:
        stream.write(piece)
    return taken, stream


def test_lines_come_whole_and_without_their_line_breaks():
    taken, stream = printed("a", " ", "line\nanother", "\n\n  \nrest")
    assert taken == ["a line", "another"]
    stream.end()
    stream.end()
    assert taken == ["a line", "another", "rest"]


def test_a_line_without_an_end_is_cut():
    taken, _ = printed("x" * (2 * LONGEST + 1))
    assert taken == ["x" * LONGEST, "x" * LONGEST]


def test_each_thread_has_a_line_of_its_own():
    taken, stream = printed("mine ")
    thread = threading.Thread(target=print, args=("theirs",), kwargs={"file": stream})
    thread.start()
    thread.join()
    print("too", file=stream)
    assert taken == ["theirs", "mine too"]


def test_bytes_are_taken_as_text():
    taken, stream = printed()
    assert stream.buffer.write("grün\n".encode() + b"\xff\n") == 8
    assert stream.buffer.writable()
    assert taken == ["grün", "\\xff"]


def test_it_looks_like_a_stream_that_is_no_terminal():
    taken, stream = printed()
    assert (stream.writable(), stream.isatty(), stream.fileno(), stream.buffer.fileno()) == (True, False, 2, 2)
    assert (stream.encoding, stream.errors) == ("utf-8", "backslashreplace")
    subprocess.run([sys.executable, "-c", ""], stdout=stream, check=True)
    assert taken == []


def test_libraries_may_set_it_up_as_they_do_with_a_standard_stream():
    taken, stream = printed()
    stream.reconfigure(encoding="utf-8", line_buffering=True)
    wrapped = io.TextIOWrapper(stream.buffer, encoding="utf-8", write_through=True)
    assert (wrapped.name, stream.name, stream.mode, stream.buffer.mode) == (stream.name, stream.name, "w", "wb")
    assert (stream.line_buffering, stream.write_through) == (True, True)
    print("grün", file=wrapped)
    wrapped.detach()
    assert taken == ["grün"]


def test_nobody_who_prints_fails_with_what_takes_it():
    def fails(line):
        raise OSError(line)

    assert LineStream(fails, 2).write("a line\n") == 7
