"""`streamer call` against a service that says what the test tells it."""

from __future__ import annotations

import http
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import types

import pytest
from click.testing import CliRunner
from websockets.sync.server import serve

from streamer.cli.app import app

ACKNOWLEDGED = {"type": "acknowledgment", "seq": 0, "status": "queued", "message": "queued"}


def progress(seq, percentage, message="", **more):
    return {
        "type": "progress",
        "seq": seq,
        "percentage": percentage,
        "message": message,
        "timestamp": "2026-01-01T12:00:00.000Z",
        **more,
    }


COMPLETE = {"type": "complete", "seq": 9, "success": True, "result": {"url": "x"}, "timestamp": "2026-01-01T12:00:01Z"}


def error(code, message="It did not work", details=None, **more):
    body = {"code": code, "message": message, "retryable": False, "details": details or {}}
    return {"type": "error", "error": body, **more}


@pytest.fixture
def call():
    def run(service, *arguments, **options):
        return CliRunner().invoke(app, ["call", *arguments, "--url", service.url], **options)

    return run


def test_a_direct_answer_is_printed_as_json(scripted, call):
    service = scripted({"type": "response", "success": True, "data": {"echo": [1, 2]}})
    result = call(service, "echo", '{"a": 1}', "--id", "mine", "--metadata", "k=v", "--wait", "2s")
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (0, {"echo": [1, 2]}, "")
    assert service.received == [
        {"id": "mine", "action": "echo", "payload": {"a": 1}, "metadata": {"k": "v"}, "wait": 2.0}
    ]


def test_wait_zero_is_sent_so_that_the_request_is_queued(scripted, call):
    service = scripted({"type": "response", "success": True, "data": None})
    assert call(service, "echo", "--wait", "0").exit_code == 0
    assert service.received[0]["wait"] == 0


def test_progress_goes_to_standard_error_and_the_result_to_standard_output(scripted, call):
    result = call(
        scripted(ACKNOWLEDGED, progress(1, 25, "Batch 1"), progress(2, 50.5), COMPLETE), "report", "--id", "r1"
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"url": "x"}
    assert result.stderr == "queued as r1\n   25%  Batch 1\n 50.5%\n"


def test_no_progress_shows_none(scripted, call):
    result = call(scripted(ACKNOWLEDGED, progress(1, 25, "Batch 1"), COMPLETE), "report", "--no-progress")
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (0, {"url": "x"}, "")


def test_json_is_a_line_for_each_message_the_outcome_last(scripted, call):
    result = call(
        scripted(ACKNOWLEDGED, progress(1, 25, "Batch 1", metadata={"rows": 5}), progress(2, 30), COMPLETE),
        "report",
        "--json",
        "--id",
        "r1",
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"request_id": "r1", **message}
        for message in (ACKNOWLEDGED, progress(1, 25, "Batch 1", metadata={"rows": 5}), progress(2, 30), COMPLETE)
    ]


def test_json_holds_what_this_version_does_not_know(scripted, call):
    service = scripted({"type": "response", "success": True, "data": 5, "newer": {"field": "\u202e"}})
    result = call(service, "echo", "--json", "--id", "r1")
    assert json.loads(result.stdout)["newer"] == {"field": "\u202e"}
    assert "\\u202e" in result.stdout


def test_json_of_a_result_that_is_no_success_is_the_whole_message(scripted, call):
    message = {"type": "complete", "seq": 9, "success": False, "result": [1], "metadata": {"rows": 1}, "timestamp": "x"}
    message["error"] = {"code": "ODD", "message": "odd", "retryable": False, "details": {}}
    result = call(scripted(ACKNOWLEDGED, message), "report", "--json", "--id", "r1")
    assert result.exit_code == 1
    assert json.loads(result.stdout.splitlines()[-1]) == {"request_id": "r1", **message}


def test_json_of_a_direct_answer_is_one_line_with_the_handlers_metadata(scripted, call):
    service = scripted({"type": "response", "success": True, "data": 5, "metadata": {"cached": True}})
    result = call(service, "echo", "--json", "--id", "r1")
    assert json.loads(result.stdout) == {
        "type": "response",
        "request_id": "r1",
        "success": True,
        "data": 5,
        "metadata": {"cached": True},
    }


def test_json_of_a_failure_is_the_error_on_standard_output(scripted, call):
    result = call(scripted(error("NOT_FOUND", details={"request_id": "x"})), "find", "--json", "--id", "r1")
    assert result.exit_code == 7
    assert json.loads(result.stdout) == {
        "type": "error",
        "request_id": "r1",
        "error": {
            "code": "NOT_FOUND",
            "message": "It did not work",
            "retryable": False,
            "details": {"request_id": "x"},
        },
    }
    assert result.stderr.startswith("streamer: NOT_FOUND: It did not work\n")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INTERNAL_ERROR", 1),
        ("OWN_CODE", 1),
        ("TIMEOUT", 5),
        ("INVALID_ACTION", 7),
        ("OVERLOADED", 8),
        ("CANCELLED", 10),
    ],
)
def test_an_error_of_the_service_is_one_line_and_its_status(scripted, call, code, status):
    result = call(scripted(error(code)), "report")
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr == f"streamer: {code}: It did not work\n"


def test_every_violation_of_the_schema_is_listed_with_its_place(scripted, call):
    violations = [{"path": "/email", "message": "is no e-mail"}, {"path": "", "message": "'age' is required"}]
    result = call(scripted(error("VALIDATION_ERROR", "Invalid payload", {"errors": violations})), "create_user", "{}")
    assert result.exit_code == 6
    assert result.stderr.splitlines() == [
        "streamer: VALIDATION_ERROR: Invalid payload",
        "  /email: is no e-mail",
        "  (the whole payload): 'age' is required",
    ]


def test_one_violation_is_not_repeated_below_a_message_that_names_it(scripted, call):
    one = {"path": "/group_by", "message": '"mont" is not one of "day" or "week"'}
    message = f"Invalid payload: {one['path']}: {one['message']}"
    result = call(scripted(error("VALIDATION_ERROR", message, {"errors": [one]})), "make")
    assert result.stderr.splitlines() == [f"streamer: VALIDATION_ERROR: {message}"]


def test_other_details_of_an_error_are_shown_and_cannot_steer_the_terminal(scripted, call):
    result = call(scripted(error("INVALID_ACTION", "No \x1b[2J", {"did_you_mean": ["echo"]})), "ecko")
    assert result.stderr.splitlines() == [
        "streamer: INVALID_ACTION: No \\x1b[2J",
        '  details: {"did_you_mean": ["echo"]}',
    ]


def test_a_result_without_success_prints_its_data_and_fails(scripted, call):
    message = {
        "type": "response",
        "success": False,
        "data": {"done": 3},
        "error": {"code": "PARTIAL", "message": "Two items failed", "retryable": False, "details": {}},
    }
    result = call(scripted(message), "bulk")
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"done": 3})
    assert result.stderr == "streamer: PARTIAL: Two items failed\n"
    as_json = json.loads(call(scripted(message), "bulk", "--json").stdout)
    assert (as_json["data"], as_json["error"]["code"]) == ({"done": 3}, "PARTIAL")


def test_nothing_that_listens_is_status_3():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    result = CliRunner().invoke(app, ["call", "echo", "--url", f"ws://127.0.0.1:{port}/ws"])
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"streamer: Cannot connect to ws://127.0.0.1:{port}/ws")
    assert result.stderr.count("\n") == 1


def test_a_connection_that_ends_before_the_outcome_is_status_4(scripted, call):
    def hang_up(connection, request):
        connection.send(json.dumps({"request_id": request["id"], **ACKNOWLEDGED}))
        connection.close(1001, "going away")

    result = call(scripted(answer=hang_up), "report", "--id", "r1", "--no-reconnect")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "1001 going away" in result.stderr
    assert "'r1'" in result.stderr


def test_a_connection_that_breaks_is_opened_again_and_the_request_goes_on(scripted, call):
    def cut_once(connection, request):
        if request["action"] == "report":
            connection.send(json.dumps({"request_id": request["id"], **ACKNOWLEDGED}))
            connection.close(1001, "going away")
        else:
            asked = request["payload"]["request_id"]
            connection.send(
                json.dumps({"type": "complete", "request_id": asked, "seq": 5, "success": True, "result": 7})
            )

    result = call(scripted(answer=cut_once), "report", "--id", "r1")
    assert (result.exit_code, result.stdout) == (0, "7\n")


def test_a_timeout_is_status_5_and_says_whether_the_request_goes_on(scripted, call):
    result = call(scripted(ACKNOWLEDGED), "report", "--id", "r1", "--timeout", "100ms")
    assert result.exit_code == 5
    assert result.stderr == (
        "queued as r1\nstreamer: no outcome within --timeout 0.1s; request 'r1' is queued and will continue\n"
    )
    silent = call(scripted(), "report", "--timeout", "100ms")
    assert (silent.exit_code, silent.stderr) == (5, "streamer: no outcome within --timeout 0.1s\n")


def test_an_address_that_is_none_is_wrong_usage():
    result = CliRunner().invoke(app, ["call", "echo", "--url", "http://127.0.0.1/ws"])
    assert result.exit_code == 2
    assert "--url" in result.stderr


def test_the_client_id_names_the_owner(scripted, call):
    service = scripted({"type": "response", "success": True, "data": None})
    call(service, "echo", "--client-id", "sesame")
    call(service, "echo", env={"STREAMER_CLIENT_ID": "from-env"})
    assert service.paths == ["/ws?client_id=sesame", "/ws?client_id=from-env"]


def test_a_payload_comes_from_standard_input(scripted, call):
    service = scripted({"type": "response", "success": True, "data": None})
    assert call(service, "echo", "-", input='{"from": "stdin"}').exit_code == 0
    assert service.received[0]["payload"] == {"from": "stdin"}


def test_a_payload_that_is_not_json_is_status_2_before_anything_is_sent(scripted, call):
    service = scripted()
    result = call(service, "echo", "{oops}")
    assert result.exit_code == 2
    assert result.stderr.startswith("streamer: Invalid value for PAYLOAD: the text is not JSON")
    assert service.paths == []


@pytest.mark.service
def test_ctrl_c_is_status_130_says_that_the_request_goes_on_and_shows_no_traceback(scripted):
    service = scripted(ACKNOWLEDGED, progress(1, 10, "here"))
    command = [sys.executable, "-m", "streamer", "call", "report", "--id", "r1", "--url", service.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        shown = [process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert shown == ["queued as r1\n", "   10%  here\n"]
    assert (process.returncode, out) == (130, "")
    assert err == "streamer: interrupted; request 'r1' is queued and will continue\n"


@pytest.mark.service
def test_a_reader_that_has_gone_is_status_141_and_quiet(scripted):
    service = scripted({"type": "response", "success": True, "data": "x" * 100_000})
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "streamer", "call", "echo", "--url", service.url]
    with os.fdopen(write, "wb") as stdout:
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.service
def test_a_terminal_sees_a_moving_bar_and_the_result_stays_clean(scripted):
    service = scripted(ACKNOWLEDGED, progress(1, 40, "Batch 2 of 4"), COMPLETE)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "streamer", "call", "report", "--url", service.url]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:  # Linux's way to say that the other end of a terminal is closed
            pass
        out, _ = process.communicate(timeout=30)
    os.close(ours)
    assert process.returncode == 0
    assert json.loads(out) == {"url": "x"}
    assert b"Batch 2 of 4" in seen
    assert "━".encode() in seen
    assert b"\x1b[" in seen


@pytest.mark.parametrize(("token", "hint"), [(None, "; pass one with"), ("wrong", "; pass another token with")])
def test_a_service_that_wants_a_token_is_told_with_the_way_to_give_one(call, token, hint):
    def refuse(connection, _request):
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "a token is needed\n")

    with serve(lambda _connection: None, "127.0.0.1", 0, process_request=refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        service = types.SimpleNamespace(url=f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws")
        result = call(service, "echo", *([] if token is None else ["--token", token]))
        server.shutdown()
        thread.join()
    assert result.exit_code == 3
    assert "401 Unauthorized: a token is needed" in result.stderr
    assert f"{hint} --token or STREAMER_TOKEN" in result.stderr


def test_a_token_that_no_header_carries_is_a_mistake_of_its_option(call):
    result = call(types.SimpleNamespace(url="ws://127.0.0.1:1/ws"), "echo", "--token", "a b")
    assert result.exit_code == 2
    assert "--token: the token contains U+0020 at position 1, which headers cannot contain" in result.stderr
