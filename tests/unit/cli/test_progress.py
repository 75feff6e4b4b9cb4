"""How a call is shown while it is under way."""

from __future__ import annotations

import io
import sys

import pytest

from streamer.cli.progress import Lines, display, percent
from streamer.client import ConnectionState
from streamer.core.messages import ProgressUpdate

EVIL = "\x1b[2J\x9b31m\u202e\r[bold]x[/bold]"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    """Puts a terminal in the place of standard error, from inside of the test: the runner has its own until then."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")

    def begin():
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        return terminal

    return begin


@pytest.mark.parametrize(
    ("value", "shown"),
    [(10.3308, "10.3%"), (10, "10%"), (0.0, "0%"), (100.0, "100%"), (99.96, "100%"), (45.5, "45.5%")],
)
def test_a_percentage_has_at_most_one_digit_behind_the_point(value, shown):
    assert percent(value) == shown


def test_without_a_terminal_each_thing_that_happens_is_a_line_on_standard_error(capsys):
    with display("report", quiet=False) as shown:
        shown.queued("req_1")
        shown.report(ProgressUpdate(percentage=4.2567, message="Batch 1"))
        shown.connection(ConnectionState("waiting", tries=1, delay=0.0, reason="going away"))
        shown.connection(ConnectionState("waiting", tries=2, delay=0.52))
        shown.connection(ConnectionState("connecting"))
        shown.connection(ConnectionState("open"))
        shown.connection(ConnectionState("open"))
        shown.attempt(2, 3)
        shown.report(ProgressUpdate(percentage=100.0))
        shown.succeeded()
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "queued as req_1",
        "  4.3%  Batch 1",
        "connection lost, reconnecting in 0.0s, try 1: going away",
        "reconnecting in 0.5s, try 2",
        "reconnected",
        "attempt 2 of 3",
        "  100%",
    ]
    assert captured.out == ""


def test_quiet_shows_nothing(capsys):
    with display("report", quiet=True) as shown:
        shown.queued("req_1")
        shown.connection(ConnectionState("waiting"))
        shown.attempt(1, 3)
        shown.report(ProgressUpdate(percentage=50.0, message="half"))
        shown.succeeded()
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_moves_with_its_message_below_what_has_happened(on_terminal):
    terminal = on_terminal()
    with display(f"report {EVIL}", quiet=False) as shown:
        assert shown.live
        shown.connection(ConnectionState("waiting", tries=1, reason=EVIL))
        shown.queued(f"req_1 {EVIL}")
        shown.attempt(1, 3)
        shown.attempt(2, 3)
        shown.report(ProgressUpdate(percentage=45.5, message=f"Batch {EVIL} of 4"))
        shown.succeeded()
    written = terminal.getvalue()
    for text in (
        "connection lost",
        "queued as req_1",
        "attempt 2 of 3",
        "report",
        "100%",
        "Batch",
        "[bold]x[/bold]",
    ):
        assert text in written
    assert "attempt 1" not in written
    for character in ("\x1b[2J", "\x9b", "\u202e"):
        assert character not in written


def test_a_direct_answer_leaves_no_bar(on_terminal):
    terminal = on_terminal()
    with display("echo", quiet=False) as shown:
        shown.connection(ConnectionState("open"))
        shown.succeeded()
        shown.attempt(2, 3)
    assert terminal.getvalue() == "attempt 2 of 3\n"


def test_a_report_before_anything_else_begins_the_bar(on_terminal):
    terminal = on_terminal()
    with display("report", quiet=False) as shown:
        shown.report(ProgressUpdate(percentage=45.5))
    assert "46%" in terminal.getvalue()


def test_a_terminal_that_can_do_nothing_gets_lines(on_terminal, monkeypatch):
    on_terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert type(display("report", quiet=False)) is Lines


def test_on_a_narrow_terminal_the_percentage_stays(on_terminal, monkeypatch):
    terminal = on_terminal()
    monkeypatch.setenv("COLUMNS", "40")
    with display("report", quiet=False) as shown:
        shown.report(ProgressUpdate(percentage=45.5, message="many words " * 20))
    assert "46%" in terminal.getvalue()
