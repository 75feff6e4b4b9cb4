import pytest

from streamer.client import ConnectionLost, InternalError, RequestFailed
from streamer.client.errors import _BY_CODE, request_failed
from streamer.core.errors import CODES, StreamerError


def test_every_code_of_the_service_has_its_own_exception():
    assert set(_BY_CODE) == CODES
    assert len(set(_BY_CODE.values())) == len(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_exception_names_the_code_it_stands_for(code):
    assert _BY_CODE[code].__doc__.startswith(f"{code}: ")


def test_a_handlers_own_code_is_a_request_failed():
    error = request_failed({"code": "DISK_FULL", "message": "no room"}, "r")
    assert type(error) is RequestFailed
    assert isinstance(error, StreamerError)
    assert str(error) == "DISK_FULL: no room"


@pytest.mark.parametrize("body", ["broken", 5, None, ["x"]])
def test_an_error_of_no_known_shape_is_an_internal_error_that_shows_it(body):
    error = request_failed(body, "r")
    assert isinstance(error, InternalError)
    assert error.details == ({} if body is None else {"error": body})


def test_missing_and_odd_fields_become_neutral_ones():
    error = request_failed({"details": 5, "retryable": "yes"}, None)
    assert (error.code, error.details, error.retryable) == ("INTERNAL_ERROR", {}, False)
    assert (error.violations, error.retry_after) == ([], None)


def test_every_violation_is_kept_and_shown_below_a_traceback():
    errors = [{"path": "", "message": "odd"}, {"path": "/a", "message": "bad"}]
    error = request_failed({"code": "VALIDATION_ERROR", "message": "m", "details": {"errors": errors}}, "r")
    assert str(error) == "VALIDATION_ERROR: m"
    assert error.violations == errors
    assert error.__notes__ == ["the payload: odd", "/a: bad"]


@pytest.mark.parametrize(
    ("code", "welcome"), [(1001, True), (1006, True), (1013, True), (3001, True), (1009, False), (3500, False)]
)
def test_the_close_code_says_whether_to_connect_again(code, welcome):
    assert ConnectionLost("ws://h/ws", code).reconnect is welcome
