from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.subprocesses.framing import Unframer, frame


@given(st.lists(st.binary(max_size=300)), st.data())
def test_messages_come_out_whole_and_in_order_whatever_the_pieces(messages, data):
    stream = b"".join(map(frame, messages))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20).map(sorted))
    unframer = Unframer()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += unframer.feed(stream[start:end])
    assert received == messages


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_messages_come_out_whole_byte_by_byte(messages):
    unframer = Unframer()
    received = [message for byte in b"".join(map(frame, messages)) for message in unframer.feed(bytes([byte]))]
    assert received == messages


def test_a_message_that_is_not_whole_is_not_delivered():
    unframer = Unframer()
    assert unframer.feed(frame(b"whole") + frame(b"cut")[:-1]) == [b"whole"]
    assert unframer.feed(b"") == []
    assert unframer.feed(b"t") == [b"cut"]


def test_what_was_delivered_is_not_kept():
    unframer = Unframer()
    unframer.feed(frame(b"x" * 100_000) + b"\x05")
    assert len(unframer._buffer) == 1
