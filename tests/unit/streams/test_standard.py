"""Standard streams of processes that were started without them, or whose readers have gone."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.service  # it starts programs

SHOW = """
import json, os, sys
from streamer.streams import standard
standard.reopen()
print("printed")
print("printed too", file=sys.stderr)
found = [os.path.sameopenfile(n, os.open(os.devnull, os.O_RDONLY)) and os.get_inheritable(n) for n in range(3)]
with open(sys.argv[1], "w") as file:
    json.dump([found, sys.stdin.read(), [s is not None for s in (sys.__stdin__, sys.__stdout__, sys.__stderr__)]], file)
"""


def python(source, *arguments, redirect="", **options):
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, "-c", source, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL, **options
    )


@pytest.mark.parametrize(
    "closed", [closed for count in range(1, 4) for closed in itertools.combinations(range(3), count)]
)
def test_a_process_without_standard_streams_has_them_all_the_same(tmp_path, closed):
    found = tmp_path / "found"
    ended = python(SHOW, str(found), redirect=" ".join(f"{n}{'<' if n == 0 else '>'}&-" for n in closed))
    assert ended.returncode == 0, ended.stderr
    there, read, streams = eval(found.read_text().replace("true", "True").replace("false", "False"))
    assert all(there[n] for n in closed)
    assert read == ""
    assert streams == [True, True, True]
    assert ended.stdout == ("" if 1 in closed else "printed\n")


def test_only_what_is_written_to_the_kept_stream_reaches_standard_output():
    ended = python("""
import os, subprocess, sys
from streamer.streams import standard
standard.reopen()
standard.keep_stdout()
os.write(1, b"of an extension\\n")
subprocess.run(["echo", "of a program"])
print("ours", flush=True)
standard.give_back_stdout()
subprocess.run(["echo", "given back"])
""")
    assert ended.stdout == "ours\ngiven back\n"
    assert ended.stderr == "of an extension\nof a program\n"


PRINTS = """
import sys, warnings
from streamer.streams import standard
standard.print_to_stderr()
print("to standard output")
print("and without an end", end="")
warnings.warn("a warning")
print("to standard error", file=sys.stderr)
"""


def test_what_is_printed_reaches_standard_error_before_the_process_ends():
    ended = python(PRINTS)
    assert ended.stdout == ""
    for text in ("to standard output\n", "and without an end\n", "a warning", "to standard error\n"):
        assert text in ended.stderr


def test_printing_to_nobody_fails_nobody(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    reached = tmp_path / "reached"
    source = PRINTS + "import pathlib; pathlib.Path(sys.argv[1]).touch()"
    ended = subprocess.run([sys.executable, "-c", source, str(reached)], stderr=writer, timeout=60, check=False)
    os.close(writer)
    assert ended.returncode == 0
    assert reached.exists()
