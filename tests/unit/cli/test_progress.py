"""How progress is shown."""

from __future__ import annotations

import io
import sys

from streamer.cli.progress import printable, shown_progress
from streamer.core.messages import ProgressUpdate


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_each_report_is_a_line_on_standard_error(capsys):
    with shown_progress("report", quiet=False) as show:
        show(ProgressUpdate(percentage=4.25, message="Batch 1"))
        show(ProgressUpdate(percentage=100.0))
    captured = capsys.readouterr()
    assert captured.err == "  4.2%  Batch 1\n100.0%\n"
    assert captured.out == ""


def test_quiet_shows_nothing(capsys):
    with shown_progress("report", quiet=True) as show:
        show(ProgressUpdate(percentage=50.0, message="half"))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_moves_with_its_message_and_obeys_no_markup(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    with shown_progress("report", quiet=False) as show:
        show(ProgressUpdate(percentage=45.5, message="Batch [bold]2[/bold] of 4"))
    written = terminal.getvalue()
    assert "report" in written
    assert "Batch [bold]2[/bold] of 4" in written
    assert "46%" in written


def test_a_message_from_afar_cannot_steer_the_terminal():
    assert printable("a\x1b[2Jb\nc\rd\te") == "a [2Jb c d e"
