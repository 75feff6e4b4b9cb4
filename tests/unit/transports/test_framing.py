"""Headers and fragments, without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.transports.framing import Assembly, Violation, is_utf8, out_of_place, text_header


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (1023, b"\x81\x7e\x03\xff"),
        (1024, b"\x81\x7e\x04\x00"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_each_size_has_the_shortest_header(size, header):
    assert text_header(size) == header


@given(st.text(), st.data())
def test_a_message_is_put_together_wherever_it_was_cut(text, data):
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assembly = Assembly(limit=len(whole))
    for piece in pieces[:-1]:
        assert assembly.add(piece, final=False) is None
    message = assembly.add(pieces[-1], final=True)
    assert message == whole
    assert type(message) is bytes


def test_fragments_that_are_too_much_together_are_refused_before_they_are_kept():
    assembly = Assembly(limit=10)
    assert assembly.add(b"12345", final=False) is None
    violation = assembly.add(b"678901", final=False)
    assert isinstance(violation, Violation)
    assert violation.code == 1009


def test_text_that_is_cut_inside_a_character_for_good_is_refused():
    assembly = Assembly(limit=10)
    assembly.add(b"a\xc3", final=False)
    violation = assembly.add(b"b", final=True)
    assert isinstance(violation, Violation)
    assert violation.code == 1007


@pytest.mark.parametrize(
    ("under_way", "starts", "text", "code"),
    [
        (False, True, True, None),
        (True, False, False, None),
        (False, True, False, 1003),
        (False, False, False, 1002),
        (True, True, True, 1002),
        (True, True, False, 1002),
    ],
)
def test_a_data_frame_out_of_place_is_named(under_way, starts, text, code):
    violation = out_of_place(under_way=under_way, starts=starts, text=text)
    assert (violation and violation.code) == code


@given(st.binary())
def test_utf8_is_what_decodes(data):
    try:
        data.decode()
        expected = True
    except UnicodeDecodeError:
        expected = False
    assert is_utf8(data) is expected
