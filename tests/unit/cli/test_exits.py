"""The exit status of a request that failed."""

from __future__ import annotations

import pytest

from streamer.cli.exits import of_code
from streamer.core.errors import CODES


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INTERNAL_ERROR", 1),
        ("CONFLICT", 1),
        ("A_CODE_OF_ITS_OWN", 1),
        ("TIMEOUT", 5),
        ("VALIDATION_ERROR", 6),
        ("INVALID_ACTION", 7),
        ("NOT_FOUND", 7),
        ("RATE_LIMITED", 8),
        ("OVERLOADED", 8),
        ("UNAUTHORIZED", 9),
        ("FORBIDDEN", 9),
        ("CANCELLED", 10),
    ],
)
def test_each_code_has_its_status(code, status):
    assert of_code(code) == status


def test_no_error_looks_like_success():
    assert all(of_code(code) != 0 for code in CODES)
