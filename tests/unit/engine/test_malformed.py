"""Whatever a client sends: one answer, nothing raised, nothing logged."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.core.messages import Result

pytestmark = pytest.mark.no_cover  # many examples of what other tests cover; traced, they take three times as long

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "maximum": 10}, "s": {"type": "string", "format": "email"}},
    "additionalProperties": {"type": "array"},
}
ids = st.text("abcXYZ019-_ é€", min_size=1, max_size=20)
messages = st.fixed_dictionaries(
    {"action": st.sampled_from(["echo", "checked", "later"]), "id": ids},
    optional={"payload": st.dictionaries(st.text(max_size=5), st.integers(0, 9) | st.text(max_size=5), max_size=3)},
)
wrong = {
    "action": st.none() | st.booleans() | st.integers() | st.lists(st.text(max_size=3), max_size=2) | st.just(""),
    "id": st.booleans() | st.integers() | st.just("") | st.just("x" * 129) | st.just("a\x00b") | st.just({}),
    "metadata": st.integers() | st.just([]) | st.just({"a": 1}) | st.just({"a": None}) | st.just("x"),
    "type": st.none() | st.integers() | st.just("response") | st.just(["request"]),
    "wait": st.booleans() | st.just([]) | st.just("soon") | st.just(-1) | st.just("5") | st.just({}),
}


@st.composite
def cut(draw):
    whole = json.dumps(draw(messages)).encode()
    return whole[: draw(st.integers(0, len(whole) - 1))]


@st.composite
def wrong_types(draw):
    message = draw(messages)
    for field in draw(st.sets(st.sampled_from(sorted(wrong)), min_size=1, max_size=3)):
        message[field] = draw(wrong[field])
    return json.dumps(message, ensure_ascii=draw(st.booleans())).encode()


@st.composite
def broken_payload(draw):
    """A message that is right but for one value, at a random place among its fields."""
    number = draw(
        st.sampled_from(["1e999", "-1e999", "9" * 4301, "1" * 5000, "01", "+1", ".5", "1.", "NaN", "-Infinity"])
    )
    level = draw(st.sampled_from([64, 65, 200, 990, 1100, 30_000]))
    opening, closing = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]))
    deep = opening * level + b"1" + closing * draw(st.sampled_from([level, level - 1, 0]))
    text = draw(
        st.sampled_from(
            [rb"\ud800", rb"\udfff", rb"\ud800A", rb"\udc00\ud800", b"\xed\xa0\x80", b"\xff", b"\xc3", b"\n", b"\x00"]
        )
    )
    value = draw(st.sampled_from([number.encode(), deep, b'"' + text + b'"', b'{"' + text + b'":1}', b"[1,]", b"tru"]))
    request_id = json.dumps(draw(ids)).encode()
    fields = draw(st.permutations([b'"action":"echo"', b'"id":' + request_id, b'"payload":' + value]))
    return b"{" + b",".join(fields) + b"}" + draw(st.sampled_from([b"", b" ", b"x"]))


@st.composite
def not_objects(draw):
    value = draw(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), st.lists, max_leaves=9))
    return json.dumps(value).encode()


def names_an_action(frame):
    try:
        value = json.loads(frame)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "action" in value


# What is random may be a message by chance; hypothesis even tries the words that it finds in the sources.
random_bytes = st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=80)
random_text = random_bytes.filter(lambda frame: not names_an_action(frame))
frames = st.one_of(random_text, cut(), wrong_types(), broken_payload(), not_objects())


def readable_id(frame):
    """The id that a lenient reader finds in a whole JSON object: Python's, which takes NaN and half surrogate pairs."""
    try:
        value = json.loads(frame.decode("utf-8", "surrogateescape"), parse_int=len)
    except (ValueError, RecursionError):
        return None
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) and 0 < len(found) <= 128 and found.isprintable() else None


@pytest.fixture
async def declared(make_house):
    async def echo(request):
        return Result(data=request.payload)

    house = make_house()
    house.declare("echo", echo, immediate=True)
    house.declare("checked", echo, immediate=True, schema=SCHEMA)
    house.declare("later", echo, mode="async")
    # Built here: the tests have no loop.
    assert house.router
    return house


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=frames)
def test_each_malformed_message_gets_one_error_and_nothing_else_happens(declared, frame):
    peer = declared.peer()
    declared.router.receive(peer, frame)
    (answer,) = peer.messages
    assert answer["type"] == "error"
    assert answer["error"]["code"] == "VALIDATION_ERROR"
    assert answer["error"]["message"]
    if (expected := readable_id(frame)) is not None:
        assert answer["request_id"] == expected
    assert peer.running == 0
    assert declared.logger.lines == []


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    payload=st.recursive(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9), st.lists)
)
def test_a_payload_that_breaks_its_schema_gets_one_error(declared, payload):
    peer = declared.peer()
    declared.send(peer, action="checked", id="r", payload=payload)
    (answer,) = peer.messages
    assert (answer["type"], answer["request_id"]) == ("error", "r")
    assert answer["error"]["details"]["errors"][0]["path"] == ""
    assert declared.logger.lines == []


@pytest.mark.parametrize("digits", [19, 20, 400, 4299, 4300])
def test_a_number_of_any_length_that_is_read_goes_back_as_it_came(declared, digits):
    peer = declared.peer()
    declared.router.receive(peer, b'{"action":"echo","id":"r","payload":' + b"9" * digits + b"}")
    assert peer.messages[0]["data"] == int("9" * digits)


def test_a_violation_does_not_repeat_a_long_value_whole(declared):
    peer = declared.peer()
    declared.send(peer, action="checked", id="r", payload={"n": "x" * 50_000})
    (violation,) = peer.messages[0]["error"]["details"]["errors"]
    assert violation["path"] == "/n"
    assert len(violation["message"]) < 500
    assert violation["message"].endswith('is not of type "integer"')
