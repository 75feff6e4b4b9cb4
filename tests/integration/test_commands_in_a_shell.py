"""Commands as a shell runs them: plugins that print, output that cannot be written, arguments that are no text."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import serve

PLUGIN = """
import atexit, os, subprocess
print("imported")
os.write(1, b"imported by an extension\\n")
subprocess.run(["echo", "imported by a program"])
atexit.register(print, "at the end")

import click
from streamer import Component, Kind, handler, hookimpl

def work(request):
    return 1

@click.command()
def own():
    click.echo("its own output")
    subprocess.run(["echo", "of its own program"])

@hookimpl
def streamer_handlers():
    print("called")
    return [handler("work", work, estimated_duration="10ms")]

@hookimpl
def streamer_commands():
    return [Component(kind=Kind.COMMAND, name="own", factory=lambda options, context: own, summary="x")]
"""
CONFIG = """
version: 1
auth: {use: jwt, secret: "a secret of more than thirty-two bytes for tests"}
actions: {work: {handler: lab.work, description: "\\x1b[2J\\u202e"}}
"""
FULL = os.path.exists("/dev/full")  # noqa: PTH110 - a device, on Linux


@pytest.fixture
def home(tmp_path: Path) -> Path:
    info = tmp_path / "site" / "lab_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "lab_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[streamer]\nlab = lab_plugin\n")
    (tmp_path / "streamer.yaml").write_text(CONFIG)
    return tmp_path


def command(home: Path, *arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(home / "site"), *sys.path])}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [sys.executable, "-m", "streamer", *arguments], cwd=home, env=environment, timeout=60, check=False, **options
    )


@pytest.mark.parametrize("arguments", [["list", "--json"], ["schema"], ["explain", "work", "--json"]])
def test_what_a_plugin_prints_does_not_get_into_json(home: Path, arguments: list[str]) -> None:
    ran = command(home, *arguments)
    assert ran.returncode == 0
    json.loads(ran.stdout)
    for printed in (
        b"imported\n",
        b"imported by an extension\n",
        b"imported by a program\n",
        b"called\n",
        b"at the end\n",
    ):
        assert printed in ran.stderr


def test_nor_into_a_token_or_the_settings(home: Path) -> None:
    assert command(home, "token", "--user", "alice").stdout.count(b"\n") == 1
    settings = command(home, "config").stdout.decode()
    assert "imported" not in settings
    assert all(line.isprintable() for line in settings.split("\n"))


def test_a_plugins_own_command_has_standard_output_for_itself(home: Path) -> None:
    ran = command(home, "lab.own")
    assert b"its own output\n" in ran.stdout
    assert b"of its own program\n" in ran.stdout
    assert b"imported" not in ran.stdout


@pytest.mark.skipif(not FULL, reason="this system has no full device")
@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["check"], ["--help"]])
def test_output_that_cannot_be_written_is_said_in_one_line(home: Path, arguments: list[str]) -> None:
    (home / "site" / "lab_plugin.py").write_text(PLUGIN.partition("import click")[2].join(["import click", ""]))
    with open("/dev/full", "wb") as full:
        ran = command(home, *arguments, stdout=full)
    assert ran.returncode == 1
    assert b"cannot write to standard output: No space left on device\n" in ran.stderr
    assert b"fault in streamer" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["call", "echo", b'"\xff"'],
        ["requests", "show", b"\xff"],
        [b"\xff"],
        ["call", b"a\xff"],
        ["list", b"--kind=\xff"],
    ],
)
def test_an_argument_that_is_no_text_is_wrong_usage(home: Path, arguments: list[str | bytes]) -> None:
    ran = command(home, *arguments)
    assert ran.returncode == 2
    assert b"is not UTF-8" in ran.stderr
    assert ran.stderr.count(b"\n") == 1


def test_the_name_of_a_file_may_be_any_bytes(home: Path) -> None:
    (home / "streamer.yaml").rename(os.fsdecode(os.fsencode(home) + b"/\xff.yaml"))
    assert command(home, "check", "-c", b"\xff.yaml").returncode == 0


@pytest.mark.parametrize("arguments", [[], ["requests"], ["backend"], ["export"], ["emulate"]])
def test_a_group_without_a_command_shows_its_help(home: Path, arguments: list[str]) -> None:
    ran = command(home, *arguments)
    assert ran.returncode == 2
    # The kinds of exports and emulators are found among the plugins, of which this one says much when it is imported.
    assert b"Usage: streamer" in ran.stderr
    assert ran.stderr.count(b"\n") > 5


def test_problems_cannot_steer_the_terminal(home: Path) -> None:
    (home / "streamer.yaml").write_text('version: 1\nactions: {"a\\u202e\\x1b[2J": {handler: "x\\u009b\\u2066"}}\n')
    for name in ("check", "config"):
        ran = command(home, name)
        assert ran.returncode == 1
        written = (ran.stdout + ran.stderr).decode()
        assert "\\u202e" in written
        assert all(line.isprintable() for line in written.split("\n"))


@contextlib.contextmanager
def service_that_answers() -> Iterator[tuple[str, list[str]]]:
    """Its URL, and the actions that it was asked for."""
    asked = []

    def answer(connection: Any) -> None:
        for text in connection:
            request = json.loads(text)
            asked.append(request["action"])
            name = {"request_id": request["id"]}
            if request["action"] == "queued":
                connection.send(json.dumps({"type": "acknowledgment", "seq": 0, "status": "queued", **name}))
                connection.send(json.dumps({"type": "complete", "seq": 2, "success": True, "result": 7, **name}))
            else:
                connection.send(json.dumps({"type": "response", "success": True, "data": 7, **name}))

    with serve(answer, "127.0.0.1", 0) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        try:
            yield f"ws://127.0.0.1:{service.socket.getsockname()[1]}/ws", asked
        finally:
            service.shutdown()


def without_reader() -> int:
    """The end of a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("action", ["queued", "direct"])
def test_a_call_whose_messages_nobody_reads_ends_and_asks_once(home: Path, action: str) -> None:
    with service_that_answers() as (url, asked):
        writing = without_reader()
        ran = command(home, "call", action, "--json", "--url", url, stdout=writing)
        os.close(writing)
    assert (ran.returncode, ran.stderr, asked) == (141, b"", [action])


@pytest.mark.skipif(not FULL, reason="this system has no full device")
def test_a_call_whose_messages_cannot_be_written_says_so_and_asks_once(home: Path) -> None:
    with service_that_answers() as (url, asked), open("/dev/full", "wb") as full:
        ran = command(home, "call", "direct", "--json", "--url", url, stdout=full)
    assert (ran.returncode, asked) == (1, ["direct"])
    assert ran.stderr == b"streamer: cannot write to standard output: No space left on device\n"


def test_help_that_nobody_reads_is_no_fault(home: Path) -> None:
    writing = without_reader()
    ran = command(home, "requests", stderr=writing)
    os.close(writing)
    assert ran.returncode == 2


def test_on_a_terminal_a_call_shows_its_id_and_leaves_no_bar_over_a_direct_answer(home: Path) -> None:
    with service_that_answers() as (url, _):
        shown = {}
        for action in ("queued", "direct"):
            ours, theirs = pty.openpty()
            ran = command(home, "call", action, "--id", "r-17", "--url", url, stderr=theirs)
            os.close(theirs)
            written = b""
            try:
                while data := os.read(ours, 65536):
                    written += data
            except OSError:
                # Nobody has the other end any more.
                pass
            os.close(ours)
            assert (ran.returncode, ran.stdout) == (0, b"7\n")
            shown[action] = written
    assert b"queued as r-17" in shown["queued"]
    assert b"100%" in shown["queued"]
    assert shown["direct"] == b""
