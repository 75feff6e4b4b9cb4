from __future__ import annotations

import json

import pytest

from streamer.core.errors import Error
from streamer.core.messages import Result
from streamer.handlers.json_lines import JsonLines

WHOLE = (
    b'{"progress": 40, "message": "half", "metadata": {"rows": 3}}\n\n{"progress": 50.5}\r\n{"result": {"url": "x"}}\n'
)


@pytest.fixture
def lines(recorder):
    return JsonLines(recorder, 200)


def test_progress_is_reported_and_the_result_kept(lines, recorder):
    lines.feed(WHOLE)
    assert recorder.reports == [(40.0, "half", {"rows": 3}), (50.5, "", {})]
    assert lines.outcome == Result(data={"url": "x"})
    assert lines.end() == Result(data={"url": "x"})


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_the_pieces_in_which_lines_arrive_do_not_matter(lines, recorder, size):
    for start in range(0, len(WHOLE), size):
        lines.feed(WHOLE[start : start + size])
    assert len(recorder.reports) == 2
    assert lines.end() == Result(data={"url": "x"})


def test_progress_is_reported_before_the_end(lines, recorder):
    lines.feed(b'{"progress": 1}\n{"progress"')
    assert recorder.reports == [(1.0, "", {})]
    assert lines.outcome is None


def test_a_last_line_needs_no_line_break(lines):
    lines.feed(b'{"result": null}')
    assert lines.end() == Result(data=None)


def test_nothing_said_is_no_outcome(lines):
    assert lines.end() is None


def test_an_error_is_kept_as_it_was_written(lines):
    lines.feed(b'{"error": {"code": "NO_ROOM", "message": "full", "retryable": true, "details": {"free": 0}}}\n')
    assert lines.end() == Error("NO_ROOM", "full", {"free": 0}, retryable=True)


def test_an_error_that_does_not_say_takes_its_codes_own_answer_to_retryable(lines):
    lines.feed(b'{"error": {"code": "TIMEOUT", "message": "slow"}}\n')
    assert lines.end() == Error("TIMEOUT", "slow", retryable=True)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"Loading...", "JSON is malformed"),
        (b'{"progress": 1', "truncated"),
        (b"[1]", "Expected `object`"),
        (b"null", "Expected `object`"),
        (b"{}", "exactly one of progress, result and error"),
        (b'{"message": "hello"}', "exactly one of"),
        (b'{"progress": 1, "result": 2}', "exactly one of"),
        (b'{"result": 1, "error": {"code": "A", "message": "b"}}', "exactly one of"),
        (b'{"progress": "40"}', "Expected `float`"),
        (b'{"progress": null}', "Expected `float`"),
        (b'{"progress": NaN}', "malformed"),
        (b'{"progress": 1, "message": 2}', "Expected `str`"),
        (b'{"progress": 1, "metadata": []}', "Expected `object`"),
        (b'{"progress": 1, "metadata": {"message": "x"}}', "may not use the names message, percentage, self"),
        (b'{"error": "text"}', "Expected `object`"),
        (b'{"error": {"code": "A"}}', "missing required field `message`"),
        (b'{"result": "\xff"}', "utf-8"),
        (b'{"result": "' + b"x" * 200 + b'"}', "longer than 200 bytes"),
    ],
)
def test_a_line_that_is_not_of_the_protocol_is_named_by_its_number_and_shown_to_the_log_only(lines, line, why):
    with pytest.raises(Error) as caught:
        lines.feed(b'{"progress": 1}\n\n' + line + b"\n")
    assert caught.value == Error(
        "INTERNAL_ERROR", "Line 3 of the answer violates the protocol of JSON lines", {"line": 3}
    )
    (note,) = caught.value.__notes__
    assert why.lower() in note.lower()
    assert line[:20].decode(errors="replace") in note
    assert len(note) < 500


def test_a_line_after_the_outcome_is_refused(lines):
    with pytest.raises(Error, match="Line 2") as caught:
        lines.feed(b'{"result": 1}\n{"progress": 1}\n')
    assert "follows the result" in caught.value.__notes__[0]
    with pytest.raises(Error, match="Line 4"):
        lines.feed(b"\nbye\n")


def test_a_line_too_long_is_refused_before_it_ends(lines):
    lines.feed(b"x" * 200)
    with pytest.raises(Error, match="Line 1") as caught:
        lines.feed(b"x")
    assert "longer than 200 bytes" in caught.value.__notes__[0]


def test_nesting_that_is_too_deep_is_refused(recorder):
    lines = JsonLines(recorder, 1_000_000)
    with pytest.raises(Error, match="Line 1"):
        lines.feed(b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")


def test_a_last_line_without_a_break_is_checked_too(lines):
    lines.feed(b"bye")
    with pytest.raises(Error, match="Line 1"):
        lines.end()


def test_many_lines_in_one_piece_are_all_read(recorder):
    lines = JsonLines(recorder, 100)
    lines.feed(b"".join(json.dumps({"progress": n}).encode() + b"\n" for n in range(1000)))
    assert len(recorder.reports) == 1000
