from __future__ import annotations

import json

import msgspec

from streamer.core.errors import Error
from streamer.core.messages import (
    SILENT,
    Acknowledgment,
    Complete,
    ErrorMessage,
    Progress,
    Request,
    Response,
    error_body,
)


def wire(message):
    return json.loads(msgspec.json.encode(message))


def test_a_response_is_as_the_protocol_shows_it():
    assert wire(Response("r", True, {"result": "processed"})) == {
        "type": "response", "request_id": "r", "success": True, "data": {"result": "processed"},
    }  # fmt: skip


def test_an_acknowledgment_has_seq_zero():
    assert wire(Acknowledgment("r")) == {
        "type": "acknowledgment", "request_id": "r", "seq": 0, "status": "queued",
        "message": "Request queued for async processing",
    }  # fmt: skip


def test_progress_leaves_out_metadata_that_there_is_none_of():
    message = wire(Progress("r", 4, 45.5, "Batch", "2026-01-01T12:00:00.000Z"))
    assert message["type"] == "progress"
    assert "metadata" not in message
    assert wire(Progress("r", 4, 45.5, "Batch", "", {"rows": 1}))["metadata"] == {"rows": 1}


def test_a_null_result_is_said():
    assert wire(Complete("r", 9, True, None, "t")) == {
        "type": "complete", "request_id": "r", "seq": 9, "success": True, "result": None, "timestamp": "t",
    }  # fmt: skip


def test_an_error_tells_everything_of_itself_and_its_request_when_it_is_known():
    body = error_body(Error("NOT_FOUND", "gone", {"a": 1}))
    assert wire(ErrorMessage(body)) == {
        "type": "error",
        "error": {"code": "NOT_FOUND", "message": "gone", "retryable": False, "details": {"a": 1}},
    }
    assert wire(ErrorMessage(body, "r", 9))["request_id"] == "r"
    assert wire(ErrorMessage(body, "r", 9))["seq"] == 9


def test_reports_of_a_request_that_nobody_queued_are_silent():
    request = Request(id="r", action="a")
    request.progress.report(50, "half", rows=1)
    request.progress.set_metadata("a", 1)
    assert request.progress is SILENT
