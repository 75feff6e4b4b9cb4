"""What a client learns of an exception, and what the log does."""

from __future__ import annotations

from streamer.core.errors import Error
from streamer.engine.boundary import CancelledFromWithinError, boundary_error, default_logger, log_notes


def test_the_client_learns_nothing_and_the_log_everything(make_house):
    logger = make_house().logger
    problem = KeyError("password=hunter2")
    error = boundary_error(problem, logger, expose=False, request_id="r", action="a")
    assert (error.code, error.message, error.details) == ("INTERNAL_ERROR", "The request could not be completed", {})
    assert not error.retryable
    ((level, _, context),) = logger.lines
    assert (level, context) == ("error", {"exc_info": problem, "request_id": "r", "action": "a"})


def test_a_developer_may_see_the_exception(make_house):
    error = boundary_error(ValueError("no good"), make_house().logger, expose=True)
    assert (error.message, error.details) == ("ValueError: no good", {"exception": "ValueError"})


def test_the_notes_of_an_error_are_for_the_log_alone(make_house):
    logger = make_house().logger
    error = Error("ODD", "odd")
    log_notes(error, logger, request_id="r")
    error.add_note("the disk is full")
    log_notes(error, logger, request_id="r")
    assert logger.lines == [("error", "the disk is full", {"code": "ODD", "request_id": "r"})]


def test_a_cancellation_from_within_says_what_happened():
    assert str(CancelledFromWithinError()) == "the handler was cancelled from within"


def test_whoever_is_given_no_logger_logs_all_the_same(capsys):
    default_logger().error("it broke", request_id="r")
    assert "it broke" in "".join(capsys.readouterr())
