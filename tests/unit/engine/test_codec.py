"""Bytes to messages and back, and a clear answer to whatever is not one."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from streamer.core.errors import Error
from streamer.core.messages import Response
from streamer.engine.codec import Codec, MalformedError, encode, encode_error, parse_wait

decode = Codec().decode


def refusal(frame, codec=None):
    with pytest.raises(MalformedError) as refused:
        (codec or Codec()).decode(frame)
    return refused.value


def test_a_message_is_read_field_by_field():
    envelope = decode(b'{"action":"a","id":"i","payload":[1],"metadata":{"k":"v"},"type":"request","wait":2,"more":1}')
    assert (envelope.action, envelope.id, envelope.payload, envelope.metadata) == ("a", "i", [1], {"k": "v"})
    assert envelope.wait == 2


@pytest.mark.parametrize(
    ("frame", "pointer"),
    [
        (b'{"action":3}', "/action"),
        (b'{"id":"i"}', "/action"),
        (b'{"action":"a","id":3}', "/id"),
        (b'{"action":"a","id":""}', "/id"),
        (b'{"action":"a","id":"a\\nb"}', "/id"),
        (b'{"action":"a","id":"' + b"x" * 129 + b'"}', "/id"),
        (b'{"action":"a","metadata":{"k":3}}', "/metadata"),
        (b'{"action":"a","metadata":[]}', "/metadata"),
        (b'{"action":"a","type":"reply"}', "/type"),
        (b'{"action":"a","wait":[]}', "/wait"),
    ],
)
def test_a_wrong_field_is_named_by_a_pointer(frame, pointer):
    error = refusal(frame).error
    assert error.code == "VALIDATION_ERROR"
    assert error.details["errors"][0]["path"].startswith(pointer)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"[]", "JSON object"),
        (b'"text"', "JSON object"),
        (b"{", "not valid JSON"),
        (b'{"action":"a","payload":"\\ud800"}', "lone surrogate"),
        (b'{"action":"a","payload":"\xed\xa0\x80"}', "UTF-8"),
        (b'{"action":"a","payload":1e999}', "out of range"),
        (b'{"action":"a","payload":' + b"[" * 65 + b"]" * 65 + b"}", "64 levels"),
        (b'{"action":"a","payload":' + b"[" * 64 + b"]" * 64 + b"}", "64 levels"),
        (b'{"action":"a","payload":' + b"[" * 90000 + b"]" * 90000 + b"}", "64 levels"),
    ],
)
def test_what_is_no_message_is_told_why(frame, words):
    assert words in refusal(frame).error.message


def test_the_deepest_message_allowed_is_read():
    assert decode(b'{"action":"a","payload":' + b"[" * 63 + b"]" * 63 + b"}").payload


def test_brackets_inside_text_are_not_levels():
    assert decode(json.dumps({"action": "a", "payload": "[" * 200}).encode()).payload == "[" * 200


TEXTS = st.text(st.sampled_from('[]{}"\\\\ a\\n'), max_size=8)
VALUES = st.recursive(
    st.none() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=20,
)


def levels(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(levels, inner), default=0)


@given(VALUES, st.booleans())
def test_levels_are_counted_right_whatever_the_texts_hold(payload, escaped):
    frame = json.dumps({"action": "a", "payload": payload}, ensure_ascii=escaped, indent=1).encode()
    deepest = 1 + levels(payload)
    assert Codec(max_depth=deepest).decode(frame).payload == payload
    if deepest > 1:
        with pytest.raises(MalformedError, match=f"more than {deepest - 1} levels"):
            Codec(max_depth=deepest - 1).decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"id":"known","action":3}',
        b'{"id":"known","action":"a","metadata":3}',
        b'{"id":"known","action":"a","payload":1e999}',
        b'{"id":"known","action":"a","payload":"\\ud800"}',
        b'{"id":"known","action":"a","type":"x"}',
        b'{"id":"known","action":"a","payload":' + b"[" * 70 + b"]" * 70 + b"}",
    ],
)
def test_the_request_id_is_read_out_of_broken_messages(frame):
    assert refusal(frame).request_id == "known"


@pytest.mark.parametrize("frame", [b'{"id":"cut', b'{"id":3,"action":1}', b'[{"id":"x"}]', b'{"id":"\\ud800"}'])
def test_an_id_that_cannot_be_read_is_left_out(frame):
    assert refusal(frame).request_id is None


def test_a_strict_service_refuses_unknown_fields():
    assert "extra" in refusal(b'{"action":"a","extra":1}', Codec(strict=True)).error.message


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\x00")
def test_no_bytes_break_the_codec(frame):
    try:
        decode(frame)
    except MalformedError as refused:
        message = json.loads(encode_error(refused.error, refused.request_id))
        assert message["error"]["code"] == "VALIDATION_ERROR"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_every_json_payload_comes_through_as_it_was_sent(payload):
    text = json.dumps({"action": "a", "payload": payload}).encode()
    assume(b"\\ud" not in text)  # lone surrogates have a test of their own
    expected = json.loads(text)["payload"]
    envelope = decode(text)
    assert envelope.payload == expected
    assert json.loads(encode(Response("r", True, envelope.payload)))["data"] == expected


@pytest.mark.parametrize(("wait", "seconds"), [(None, None), ("2s", 2.0), (0, 0), (1.5, 1.5), ("0s", 0.0)])
def test_wait_is_read_as_text_or_number(wait, seconds):
    assert parse_wait(wait) == seconds


@pytest.mark.parametrize("wait", [-1, "soon", "", float("nan"), 1e12, "9" * 101, "1ms" * 40])
def test_a_wait_that_makes_no_sense_is_refused(wait):
    with pytest.raises(Error) as refused:
        parse_wait(wait)
    assert refused.value.details["errors"][0]["path"] == "/wait"


def test_an_error_goes_out_even_when_its_details_are_not_json():
    assert json.loads(encode_error(Error("C", "m", {"x": object()}), None)) == {
        "type": "error",
        "error": {"code": "C", "message": "m", "retryable": False, "details": {}},
    }


def test_what_is_not_json_raises_the_handlers_error_with_a_note_for_the_log():
    with pytest.raises(Error) as refused:
        encode(Response("r", True, {1: object()}))
    assert "not JSON" in refused.value.__notes__[0]


def test_integers_of_any_size_survive():
    big = 10**400
    assert decode(b'{"action":"a","payload":%d}' % big).payload == big
    assert str(big).encode() in encode(Response("r", True, big))
