from __future__ import annotations

import pickle

import pytest

from streamer.core.errors import CODES, ConfigError, Error, LeaseLost, StoreError, StreamerError


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_retry_helps_after_a_timeout_and_under_load_and_otherwise_not(code):
    assert Error(code, "x").retryable is (code in {"TIMEOUT", "RATE_LIMITED", "OVERLOADED"})


def test_the_raiser_says_otherwise():
    assert Error("TIMEOUT", "x", retryable=False).retryable is False
    assert Error("MINE", "x", retryable=True).retryable is True


def test_the_codes_are_the_protocols():
    assert set(CODES) == {
        "VALIDATION_ERROR", "NOT_FOUND", "UNAUTHORIZED", "INTERNAL_ERROR", "TIMEOUT", "RATE_LIMITED", "INVALID_ACTION",
        "FORBIDDEN", "CONFLICT", "CANCELLED", "OVERLOADED",
    }  # fmt: skip


def test_details_are_added_one_after_the_other_and_are_each_errors_own():
    error = Error("NOT_FOUND", "gone").with_detail("a", 1).with_detail("b", [2])
    assert error.details == {"a": 1, "b": [2]}
    assert Error("NOT_FOUND", "gone").details == {}


def test_an_error_prints_as_its_message_and_shows_all_of_itself():
    error = Error("NOT_FOUND", "gone", {"a": 1})
    assert str(error) == "gone"
    assert repr(error) == "Error('NOT_FOUND', 'gone', {'a': 1}, retryable=False)"


def test_errors_are_equal_by_what_they_say():
    assert Error("A", "b", {"c": 1}) == Error("A", "b", {"c": 1})
    assert Error("A", "b") != Error("A", "b", retryable=True)
    assert Error("A", "b") != "b"
    assert len({Error("A", "b"), Error("A", "b")}) == 2


def test_an_error_crosses_processes_whole():
    error = Error("MINE", "x", {"a": [1]}, retryable=True)
    assert pickle.loads(pickle.dumps(error)) == error


def test_a_configuration_error_prints_a_line_for_each_problem():
    error = ConfigError(["a:1:1: wrong", "a:2:1: wrong too"])
    assert str(error) == "a:1:1: wrong\na:2:1: wrong too"
    assert error.problems == ["a:1:1: wrong", "a:2:1: wrong too"]


def test_everything_raised_on_purpose_has_one_base():
    assert issubclass(Error, StreamerError)
    assert issubclass(LeaseLost, StoreError)
    assert issubclass(StoreError, StreamerError)
