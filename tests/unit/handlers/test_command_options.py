"""What keeps a program from being started is known before a request asks for it."""

from __future__ import annotations

import os

import pytest

from streamer.contracts.components import BuildContext
from streamer.handlers.command_options import problems


@pytest.fixture
def context(tmp_path):
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "data.txt").write_text("no program")
    return BuildContext(base_dir=tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"argv": ["sh"]},
        {"argv": ["./run.sh", "-x"], "cwd": "."},
        {"argv": ["sh"], "env": {"A": "b"}, "inherit_env": True},
    ],
)
def test_what_can_be_started_is_no_problem(context, options):
    assert list(problems(options, context)) == []


@pytest.mark.parametrize(
    ("options", "place", "says"),
    [
        ({"argv": ["./nope.sh"]}, ("argv", 0), "does not exist as a file"),
        ({"argv": ["./"]}, ("argv", 0), "does not exist as a file"),
        ({"argv": ["no-such-program"]}, ("argv", 0), "was not found in PATH"),
        ({"argv": ["sh"], "env": {"PATH": "/nowhere"}}, ("argv", 0), "was not found in PATH (/nowhere)"),
        ({"argv": ["./data.txt"]}, ("argv", 0), "is not executable; try: chmod +x"),
        ({"argv": ["sh"], "cwd": "none"}, ("cwd",), "the folder does not exist"),
        ({"argv": ["sh"], "cwd": "data.txt"}, ("cwd",), "the folder does not exist"),
        ({"argv": ["sh"], "cwd": "a\0b"}, ("cwd",), "not a path"),
        ({"argv": ["sh\0"]}, ("argv", 0), "null character"),
        ({"argv": ["sh", "a\0"]}, ("argv", 1), "null character"),
        ({"argv": ["sh"], "env": {"A": "a\0"}}, ("env", "A"), "null character"),
    ],
)
def test_what_cannot_be_started_is_a_problem_at_its_place(context, options, place, says):
    [problem] = problems(options, context)
    assert problem.place == place
    assert says in problem.message


def test_a_folder_that_may_not_be_entered(context, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _mode: path != context.base_dir)
    [problem] = problems({"argv": ["./run.sh"]}, context)
    assert "may not enter" in problem.message
