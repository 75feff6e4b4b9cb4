from __future__ import annotations

import pytest

from streamer.core.errors import Error
from streamer.core.messages import Result
from streamer.handlers.http_answers import is_streamed, refusal, success

NOW = 1767268800.0  # 2026-01-01 12:00:00 UTC


def refused(status: int, body: bytes = b"", *, retryable: bool = False, **headers: str) -> Error:
    return refusal(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, body, now=NOW, retryable=retryable
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "VALIDATION_ERROR"),
        (401, "UNAUTHORIZED"),
        (403, "FORBIDDEN"),
        (404, "NOT_FOUND"),
        (408, "TIMEOUT"),
        (409, "CONFLICT"),
        (418, "INTERNAL_ERROR"),
        (422, "VALIDATION_ERROR"),
        (429, "RATE_LIMITED"),
        (500, "INTERNAL_ERROR"),
        (504, "TIMEOUT"),
    ],
)
def test_the_status_decides_the_code(status, code):
    error = refused(status)
    assert (error.code, error.message) == (code, f"The endpoint answered with status {status}")
    assert error.details["status"] == status
    assert error.retryable is False
    assert refused(status, retryable=True).retryable is True


def test_a_body_of_another_shape_is_for_the_log_only():
    error = refused(500, b"<h1>Traceback: password=hunter2\x1b</h1>")
    assert "hunter2" not in error.message
    assert error.__notes__ == ["the endpoint's answer: <h1>Traceback: password=hunter2\ufffd</h1>"]
    assert len(refused(500, b"x" * 10_000).__notes__[0]) < 600
    assert not hasattr(refused(500), "__notes__")


def test_an_error_in_the_body_is_taken_over():
    body = b'{"error": {"code": "NO_ROOM", "message": "full", "details": {"free": 0, "status": 1}}}'
    assert refused(507, body, retryable=True) == Error("NO_ROOM", "full", {"status": 507, "free": 0}, retryable=True)
    body = b'{"error": {"code": "NO_ROOM", "message": "full", "retryable": false}}'
    assert refused(503, body, retryable=True) == Error("NO_ROOM", "full", {"status": 503}, retryable=False)


@pytest.mark.parametrize("body", [b'{"error": "text"}', b'{"error": {"code": 3}}', b"[", b"[" * 100_000])
def test_an_error_that_is_not_of_that_shape_is_not(body):
    assert refused(500, body).code == "INTERNAL_ERROR"


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        ("3", 3000),
        ("0", 0),
        ("Thu, 01 Jan 2026 12:00:05 GMT", 5000),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("00000000000000000000003", 3000),
        (" 3 ", 3000),
        ("9" * 5000, 86_400_000),
        ("0" * 5000, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400_000),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, milliseconds):
    assert refused(503, Retry_After=value).details == {"status": 503, "retry_after_ms": milliseconds}


@pytest.mark.parametrize(
    "value",
    ["soon", "", "-5", "1.5", "inf", "NaN", "٣", ",", "Thu, 99 Jan 2026 12:00:05 GMT", "Fri, 31 Dec 99999 23:59:59 GMT",
     "1 " * 3000],
)  # fmt: skip
def test_retry_after_that_makes_no_sense_is_passed_over(value):
    assert refused(503, Retry_After=value).details == {"status": 503}


def test_too_many_requests_always_say_how_long_to_wait():
    assert refused(429).details["retry_after_ms"] == 1000
    assert refused(429, Retry_After="7").details["retry_after_ms"] == 7000


def test_a_redirect_is_an_error_that_says_where_it_leads_in_the_log():
    error = refused(302, b"moved", Location="https://other.example")
    assert error.code == "INTERNAL_ERROR"
    assert error.__notes__ == ["redirects are not followed; this one points to 'https://other.example'"]


@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        (b'{"a": [1]}', "application/json", {"a": [1]}),
        (b"3", "application/problem+json; charset=utf-8", 3),
        (b'"x"', "Application/JSON", "x"),
        (b"", "application/json", None),
        (b" \n", "text/plain", None),
        (b"hello", "text/plain; charset=utf-8", {"body": "hello", "content_type": "text/plain; charset=utf-8"}),
        (b"\xff", "", {"body": "\ufffd", "content_type": ""}),
    ],
)
def test_a_success_is_its_json_or_its_text(body, content_type, data):
    assert success(body, content_type) == Result(data=data)


def test_json_that_is_none_is_an_error():
    with pytest.raises(Error, match="has the content type JSON, but is not JSON") as caught:
        success(b"<html>", "application/json")
    assert "<html>" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("content_type", "streamed"),
    [
        ("application/x-ndjson", True),
        ("application/jsonl; charset=utf-8", True),
        ("APPLICATION/X-NDJSON", True),
        ("application/json", False),
        ("", False),
    ],
)
def test_json_lines_are_known_by_their_media_type(content_type, streamed):
    assert is_streamed(content_type) is streamed
