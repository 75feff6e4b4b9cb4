"""The parts of a JSON Schema that are schemas themselves."""

from streamer.config.subschemas import children, patterns, walk

SCHEMA = {
    "properties": {"$ref": {"type": "string"}, "flag": True},
    "patternProperties": {"^a": {}},
    "$defs": {"d": {}},
    "definitions": {"e": {}},
    "dependencies": {"x": {}, "y": ["z"]},
    "items": [{}, False],
    "allOf": [{}],
    "not": {"pattern": "b", "patternProperties": 5},
    "const": {"not": {}},
    "enum": [{"$ref": "no"}],
    "default": {"$ref": "no"},
    "x-own": {"$ref": "no"},
    "if": True,
}


def test_children_are_what_the_drafts_call_schemas():
    assert {place for place, _ in children(SCHEMA)} == {
        ("properties", "$ref"),
        ("patternProperties", "^a"),
        ("$defs", "d"),
        ("definitions", "e"),
        ("dependencies", "x"),
        ("items", 0),
        ("allOf", 0),
        ("not",),
    }


def test_walking_reaches_all_of_them_once():
    nested = {"items": {"items": {"anyOf": [{"type": "null"}]}}}
    assert [place for place, _ in walk(nested)] == [
        (),
        ("items",),
        ("items", "items"),
        ("items", "items", "anyOf", 0),
    ]
    assert list(walk(True)) == []
    assert [place for place, _ in walk({}, ("a",))] == [("a",)]


def test_patterns_are_those_of_the_schema_itself():
    assert list(patterns(SCHEMA)) == [(("patternProperties", "^a"), "^a")]
    assert list(patterns(SCHEMA["not"])) == [(("pattern",), "b")]
