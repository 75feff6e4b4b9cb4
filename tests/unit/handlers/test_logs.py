from __future__ import annotations

import logging

from streamer.handlers import logs
from streamer.handlers.logs import LineLog, clean, request_logger


def test_a_logger_of_structlog_gets_id_and_action_bound(log, request_of):
    assert request_logger(log, request_of()).bound == {"request_id": "req-1", "action": "act"}


def test_a_logger_of_the_standard_library_gets_them_as_attributes(caplog, request_of):
    request_logger(logging.getLogger("streamer.test"), request_of()).error("program: %s", "text")
    (record,) = caplog.records
    assert (record.getMessage(), record.request_id, record.action) == ("program: text", "req-1", "act")


def test_text_for_the_log_is_cut_and_cannot_move_the_cursor():
    assert clean(b"a\x1b[2J\r\xff b  \n") == "a\ufffd[2J\ufffd\ufffd b"
    assert clean(b"x" * 11, 10) == "x" * 10 + "…"


def test_lines_are_put_together_from_pieces(log):
    lines = LineLog(log, "p")
    for piece in (b"on", b"e\ntw", b"o\n", b""):
        lines.feed(piece)
    lines.end()
    assert [line[:2] for line in log.lines] == [("info", "p: one"), ("info", "p: two")]
    assert lines.last == ["one", "two"]


def test_lines_that_are_never_shown_cost_next_to_nothing(log, monkeypatch):
    cleaned = []
    monkeypatch.setattr(logs, "clean", lambda line: cleaned.append(line) or "")
    lines = LineLog(log, "sh")
    lines.feed(b"x\n" * 50_000)
    assert len(cleaned) == logs.MOST_LINES
