"""Close codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.transports.close_codes import answer_to, may_be_sent, reason_bytes


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1014, 3000, 3008, 4999])
def test_codes_that_a_frame_may_carry_are_echoed(code):
    assert may_be_sent(code)
    assert answer_to(code.to_bytes(2) + b"why") == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_codes_that_only_report_are_answered_with_a_protocol_error(code):
    assert not may_be_sent(code)
    assert answer_to(code.to_bytes(2)) == 1002


def test_a_close_frame_without_a_code_is_answered_with_1000():
    assert answer_to(b"") == 1000


@given(st.text(max_size=300))
def test_a_reason_always_fits_a_close_frame_and_stays_utf8(reason):
    encoded = reason_bytes(reason)
    assert len(encoded) <= 123
    assert reason.encode(errors="replace").decode().startswith(encoded.decode())


def test_a_long_reason_is_cut_between_characters():
    assert reason_bytes("x" + "é" * 100) == ("x" + "é" * 61).encode()
