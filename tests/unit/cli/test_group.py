"""How errors are told: one line, one status, and a traceback only for who asks."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from streamer.cli.group import Commands
from streamer.cli.output import OutputError
from streamer.core.errors import ConfigError, PluginError, StartError


class Panic(BaseException):
    """What a Rust extension raises."""


RAISED = {
    "usage": click.UsageError("not so."),
    "click": click.ClickException("no\nsuch thing"),
    "start": StartError("the port 8080 is taken"),
    "plugin": PluginError("one\ntwo"),
    "silent": PluginError(),
    "config": ConfigError(["a.yaml:1:1: x", "a.yaml:2:1: y"]),
    "lonely": ConfigError(["a.yaml:1:1: x"]),
    "file": PermissionError(13, "Permission denied", "/x/y"),
    "bug": ValueError("what\never"),
    "interrupt": KeyboardInterrupt(),
    "abort": click.Abort(),
    "pipe": BrokenPipeError(),
    "exit": click.exceptions.Exit(7),
    "leave": SystemExit(11),
    "panic": Panic("boom"),
    "text": UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"),
    "full": OSError(28, "No space left on device"),
    "output": OutputError(OSError(28, "No space left on device")),
    "name": OSError(2, "No such file or directory", b"/x/\xff"),
}

FAULT = "this is a bug in streamer or in a plugin: 'streamer --debug …' shows the traceback"


@pytest.fixture
def run(monkeypatch):
    def fail(name):
        @click.command(name)
        def command():
            raise RAISED[name]

        return command

    @click.command("fine")
    def fine():
        click.echo("done")
        return 5

    commands = {name: fail(name) for name in RAISED} | {"fine": fine}
    for name, command in commands.items():
        monkeypatch.setitem(sys.modules, f"fake_cli_{name}", SimpleNamespace(command=command))
    group = Commands(
        name="streamer",
        places={name: f"fake_cli_{name}" for name in commands},
        params=[click.Option(["--debug"], is_flag=True, envvar="STREAMER_DEBUG")],
    )
    return lambda *arguments, **options: CliRunner().invoke(group, arguments, **options)


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("usage", 2, "streamer: not so; see 'streamer usage --help'\n"),
        ("click", 1, "streamer: no such thing\n"),
        ("start", 1, "streamer: the port 8080 is taken\n"),
        ("plugin", 1, "streamer: one\nstreamer: two\n"),
        ("silent", 1, "streamer: PluginError\n"),
        (
            "config",
            1,
            "streamer: a.yaml:1:1: x\nstreamer: a.yaml:2:1: y\nstreamer: the configuration has 2 problems\n",
        ),
        ("lonely", 1, "streamer: a.yaml:1:1: x\nstreamer: the configuration has 1 problem\n"),
        ("file", 1, "streamer: /x/y: Permission denied\n"),
        (
            "bug",
            70,
            f"streamer: unexpected ValueError: what ever; {FAULT}\n",
        ),
        ("interrupt", 130, "\n"),
        ("abort", 130, ""),
        ("pipe", 141, ""),
        ("exit", 7, ""),
        ("leave", 11, ""),
        ("panic", 70, f"streamer: unexpected Panic: boom; {FAULT}\n"),
        ("text", 2, "streamer: a value is not UTF-8: 'a\\udcff'\n"),
        ("full", 1, "streamer: cannot write to standard output: No space left on device\n"),
        ("output", 1, "streamer: cannot write to standard output: No space left on device\n"),
        ("name", 1, "streamer: /x/\\udcff: No such file or directory\n"),
    ],
)
def test_an_error_is_told_in_lines_and_by_its_status(run, name, status, said):
    result = run(name)
    assert (result.exit_code, result.stderr, result.stdout) == (status, said, "")


@pytest.mark.parametrize("name", ["bug", "start"])
def test_a_traceback_is_shown_only_with_debug(run, name):
    assert "Traceback" not in run(name).stderr
    asked = run("--debug", name)
    assert "Traceback" in asked.stderr
    assert asked.exit_code == run(name).exit_code
    assert "Traceback" in run(name, env={"STREAMER_DEBUG": "1"}).stderr


def test_a_command_that_returns_something_still_succeeds(run):
    result = run("fine")
    assert (result.exit_code, result.stdout) == (0, "done\n")


def test_a_near_miss_of_a_command_is_named(run):
    result = run("buug")
    assert (result.exit_code, result.stderr) == (
        2,
        "streamer: no such command: 'buug' (did you mean 'bug'?); see 'streamer --help'\n",
    )
    assert run("qqqqqq").stderr == "streamer: no such command: 'qqqqqq'; see 'streamer --help'\n"


def test_an_unknown_option_is_a_usage_error(run):
    result = run("--nope")
    assert result.exit_code == 2
    assert result.stderr.startswith("streamer: No such option")
    assert result.stderr.count("\n") == 1
