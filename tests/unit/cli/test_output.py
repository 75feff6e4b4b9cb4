"""What goes to standard output."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import MappingProxyType

import pytest

from streamer.cli import output


def test_json_goes_out_as_utf8_and_reads_back(capfdbinary):
    value = {"name": "Zoë", "big": 2**70, "nested": [1, None, True]}
    output.write_json(value)
    written = capfdbinary.readouterr().out
    assert "Zoë".encode() in written
    assert written.count(b"\n") > 1
    assert json.loads(written) == value


def test_json_that_is_not_pretty_is_one_line(capfdbinary):
    output.write_json({"text": "a\nb", "more": [1, 2]}, pretty=False)
    assert capfdbinary.readouterr().out == b'{"text":"a\\nb","more":[1,2]}\n'


def test_json_of_frozen_values_reads_as_plain_ones(capfdbinary):
    output.write_json({"a": MappingProxyType({"b": 1}), "c": frozenset({2}), "d": Path("/x")})
    assert json.loads(capfdbinary.readouterr().out) == {"a": {"b": 1}, "c": [2], "d": "/x"}


def test_json_with_a_lone_surrogate_still_goes_out(capfdbinary):
    output.write_json("a\ud800b", pretty=False)
    assert capfdbinary.readouterr().out == b'"a?b"\n'


def test_a_table_that_nobody_watches_is_aligned_text_with_nothing_cut(capsys):
    long = "x" * 300
    output.write_table(("A", "B"), [("one", long), ("three\nlines", "")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["A            B", f"one          {long}", "three lines  -"]


def test_a_table_without_rows_has_its_header_only(capsys):
    output.write_table(("A", "B"), [])
    assert capsys.readouterr().out == "A  B\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_a_narrow_terminal(monkeypatch, *arguments, **options):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "dumb")
    output.write_table(*arguments, **options)
    return terminal.getvalue()


def test_a_table_on_a_terminal_obeys_no_markup(monkeypatch):
    written = on_a_narrow_terminal(monkeypatch, ("A", "B"), [("one", "[red]two[/red]")])
    assert "one" in written
    assert "[red]two[/red]" in written


def test_a_table_on_a_narrow_terminal_keeps_ids_whole_and_folds_what_may_fold(monkeypatch):
    identity, words = "req_" + "0" * 60, "many words " * 10
    lines = on_a_narrow_terminal(monkeypatch, ("ID", "MESSAGE"), [(identity, words)], folding=["MESSAGE"]).splitlines()
    assert identity in lines[1]
    assert len(lines) > 4
    assert " ".join(line[len(identity) :].strip() for line in lines[1:]).split() == words.split()


@pytest.mark.parametrize(
    ("value", "shown"), [("one", "a   one\n"), ("one\ntwo", "a   one\n    two\n"), ("", "a   -\n")]
)
def test_facts_stand_under_one_another(capsys, value, shown):
    output.write_facts([("a", value), ("bb", "x")])
    assert capsys.readouterr().out == shown + "bb  x\n"


EVIL = "\x1b[2J\x1b]0;t\x07\x00\x9b31m\u202e\u2066\u200b\u2028[red]x[/red]"


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_that_is_written_steers_a_terminal(terminal, monkeypatch, capsys):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(output, "_own", stream)
    output.write_table(("ID", "MESSAGE"), [(EVIL, f"{EVIL}\nforged line")], folding=["MESSAGE"])
    output.write_facts([("name", f"{EVIL}\nsecond")])
    output.say(f"{EVIL}\nforged line")
    output.say_text(f"one {EVIL}\ntwo\n")
    output.note(f"{EVIL}\nforged line")
    written = stream.getvalue() + capsys.readouterr().err
    assert "[red]x[/red]" in written
    for character in written.replace("\x1b[1m", "").replace("\x1b[0m", ""):
        assert character.isprintable() or character == "\n", repr(character)
    assert "\nforged line" not in written


@pytest.mark.parametrize("pretty", [True, False])
def test_json_has_escapes_for_what_is_not_printable_and_is_the_same_json(pretty):
    data = output.json_bytes({EVIL: [EVIL, "grün"]}, pretty=pretty)
    assert json.loads(data) == {EVIL: [EVIL, "grün"]}
    assert all(line.isprintable() for line in data.decode().split("\n"))
    assert "grün" in data.decode()


def test_output_that_cannot_be_written_says_why(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(output, "_own", Full())
    with pytest.raises(output.OutputError, match="cannot write to standard output: No space left on device"):
        output.say("x")
    monkeypatch.setattr(output, "_own", Gone())
    with pytest.raises(BrokenPipeError):
        output.say("x")


def test_standard_output_is_kept_while_a_command_runs_and_given_back(monkeypatch, capsys):
    output.expect_foreign_code()
    print("before")
    with output.own_stdout():
        output.expect_foreign_code()
        print("of a plugin")
        output.say("ours")
        output.flush()
        monkeypatch.setattr(output.standard, "give_back_stdout", lambda: None)
        output.leave_stdout_to_foreign_code()
        print("of its command")
        output.expect_foreign_code()
    print("after")
    output.leave_stdout_to_foreign_code()
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["before", "ours", "of its command", "after"]
    assert captured.err == "of a plugin\n"
