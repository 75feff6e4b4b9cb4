"""Which subschemas speak of a place."""

import pytest

from streamer.config.applicable import applicable, is_secret, pointed_at, types_at

SCHEMA = {
    "properties": {
        "a": {"type": "integer"},
        "list": {"prefixItems": [{"type": "string"}], "items": {"type": "boolean"}},
        "either": {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "number"}}]},
        "if": {"if": {"type": "object"}, "then": {"properties": {"x": {"type": "null"}}}, "else": {"type": "integer"}},
        "ref": {"$ref": "#/$defs/named"},
        "self": {"$ref": "#/$defs/loop"},
        "free": {},
        "choice": {"enum": ["x", 1, 1.5, None, True, [], {}]},
    },
    "patternProperties": {"^x-": {"type": "string"}},
    "additionalProperties": {"type": "array"},
    "$defs": {
        "named": {"allOf": [{"properties": {"deep": {"type": ["number", "null"]}}}]},
        "loop": {"oneOf": [{"$ref": "#/$defs/loop"}, {"type": "string"}]},
    },
}


@pytest.mark.parametrize(
    ("place", "types"),
    [
        (["a"], {"integer"}),
        (["list", 0], {"string"}),
        (["list", 5], {"boolean"}),
        (["either"], {"boolean", "array"}),
        (["either", 3], {"number"}),
        (["if", "x"], {"null"}),
        (["if"], {"integer"}),
        (["ref", "deep"], {"number", "null"}),
        (["self"], {"string"}),
        (["x-any"], {"string"}),
        (["other"], {"array"}),
        (["free"], set()),
        (["free", "below", 1], set()),
        (["choice"], {"string", "integer", "number", "null", "boolean", "array", "object"}),
    ],
)
def test_types_are_those_of_every_branch(place, types):
    assert types_at(SCHEMA, place) == types


def test_the_whole_is_a_place_too():
    assert applicable(SCHEMA, []) == [SCHEMA]


def test_what_holds_a_secret_place_is_asked_too():
    schema = {"properties": {"key": {"writeOnly": True, "properties": {"file": {}}}, "open": {"writeOnly": False}}}
    assert is_secret(schema, ["key"])
    assert is_secret(schema, ["key", "file"])
    assert not is_secret(schema, ["open"])
    assert not is_secret(schema, [])


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", {"a/b": [{"~": 1}]}),
        ("/a~1b/0/~0", 1),
        ("/a~1b/1", None),
        ("/a~1b/x", None),
        ("/none", None),
        ("/a~1b/0/~0/further", None),
    ],
)
def test_pointers_are_followed_as_rfc_6901_says(pointer, value):
    assert pointed_at({"a/b": [{"~": 1}]}, pointer) == value
