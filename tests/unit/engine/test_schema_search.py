"""Errors found in bounded work: right wherever the library is right, and soon wherever it is not."""

from __future__ import annotations

import gc
import time

import pytest

from streamer.engine.schema_search import Search
from streamer.engine.validation import Validator

LONG = 0.5
"""Seconds: a hundred times what a refusal may take, for machines that do other work."""


@pytest.fixture(autouse=True)
def no_garbage_collection():
    """A collection of all that a run of tests has in memory takes longer than a whole search may."""
    gc.disable()
    yield
    gc.enable()


def both(name):
    return {
        "type": "object",
        "properties": {"op": {"const": name}, "args": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["op", "args"],
    }


FILTER = {
    "oneOf": [
        both("and"),
        both("or"),
        {
            "type": "object",
            "properties": {"field": {"type": "string"}, "value": {"type": "number"}},
            "required": ["field", "value"],
            "additionalProperties": False,
        },
    ]
}
SELF = {"$ref": "#"}
RECURSIVE = {
    "filter": (FILTER, lambda value: {"op": "and", "args": [value]}, {"field": "a", "value": "wrong"}),
    "anyOf": ({"anyOf": [{"items": SELF}, {"items": SELF}], "type": "array"}, lambda value: [value], 1),
    "allOf": (
        {"properties": {"a": SELF}, "allOf": [{"properties": {"a": SELF}}], "unevaluatedProperties": False},
        lambda value: {"a": value},
        {"b": 1},
    ),
    "if": (
        {"type": "object", "if": {"properties": {"a": SELF}}, "else": {"properties": {"a": SELF}}},
        lambda value: {"a": value},
        1,
    ),
    "contains": ({"type": "array", "contains": SELF, "items": SELF}, lambda value: [value], 1),
    "dynamic": (
        {
            "$dynamicAnchor": "n",
            "type": "object",
            "anyOf": [
                {"properties": {"a": {"$dynamicRef": "#n"}}},
                {"patternProperties": {"^a": {"$dynamicRef": "#n"}}},
            ],
        },
        lambda value: {"a": value},
        1,
    ),
}


def searched(schema, value, **options):
    validator = Validator(schema)
    search = Search(validator._leaf, limit=100, **options)
    return search.run(validator._root, value), search.taken


def nested(wrap, value, depth):
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize("depth", [6, 12, 14, 31, 60])
@pytest.mark.parametrize("name", RECURSIVE)
def test_an_error_at_the_bottom_is_named_at_any_depth(name, depth):
    schema, wrap, wrong = RECURSIVE[name]
    # One level of the filter is two of the message, which may have 64.
    depth = min(depth, 31) if name == "filter" else depth
    validator = Validator(schema)
    payload = nested(wrap, wrong, depth)
    assert not validator.is_valid(payload)
    assert not validator.lists_errors
    began = time.thread_time()
    error = validator.error(payload)
    assert time.thread_time() - began < LONG
    [first, *_] = error.details["errors"]
    assert first["path"].count("/") >= depth


PLAIN = {
    "type": "object",
    "required": ["id", "kind"],
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "kind": {"enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "uniqueItems": True},
        "pair": {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
        "place": {"$ref": "#/$defs/place"},
    },
    "patternProperties": {"^x-": {"type": "string"}},
    "additionalProperties": False,
    "$defs": {
        "place": {
            "properties": {"lat": {"type": "number"}},
            "required": ["lat"],
            "additionalProperties": {"type": "null"},
        }
    },
}


@pytest.mark.parametrize(
    "value",
    [
        {},
        3,
        {"id": 0, "kind": "c"},
        {"id": 1, "kind": "a", "tags": ["long text", 1, 1]},
        {"id": 1, "kind": "a", "pair": ["x", 1]},
        {"id": 1, "kind": "a", "place": {"lng": 1}, "x-y": 1},
        {"id": 1, "kind": "a", "more": 1},
    ],
)
def test_without_alternatives_the_same_is_found_as_by_the_library(value):
    validator = Validator(PLAIN)
    listed = {(one["path"], one["message"]) for one in validator.error(value).details["errors"]}
    (found, is_all), _ = searched(PLAIN, value)
    assert is_all
    assert {("".join(f"/{part}" for part in path), message) for path, message in found} == listed


@pytest.mark.parametrize(
    ("schema", "value", "path", "message"),
    [
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            1,
            (),
            "1 is not valid under any of the schemas listed in the 'anyOf' keyword",
        ),
        (
            {"oneOf": [{"minimum": 1}, {"minimum": 2}]},
            3,
            (),
            "3 is valid under more than one of the schemas listed in the 'oneOf' keyword",
        ),
        ({"not": {"type": "string"}}, "x", (), "\"x\" is excluded by the keyword 'not'"),
        ({"not": {"type": "string"}}, "x" * 100, (), "this string is excluded by the keyword 'not'"),
        ({"not": {"type": "array"}}, [1], (), "this array is excluded by the keyword 'not'"),
        ({"items": False}, [1], (0,), "False schema does not allow 1"),
        ({"if": {"type": "object"}, "then": {"required": ["a"]}}, {}, (), '"a" is a required property'),
        ({"if": {"type": "object"}, "else": {"minimum": 3}}, 1, (), "1 is less than the minimum of 3"),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}, (), '"b" is a required property'),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, (), '"ab" is longer than 1 character'),
        ({"contains": {"const": 1}}, [2], (), "None of the items match the schema of 'contains'"),
        ({"contains": {"const": 1}, "minContains": 2}, [1], (), "Too few items match it"),
        ({"contains": {"const": 1}, "maxContains": 1}, [1, 1], (), "Too many items match the schema of 'contains'"),
        ({"unevaluatedItems": False, "prefixItems": [True]}, [1, 2], (1,), "False schema does not allow 2"),
        (
            {
                "unevaluatedProperties": False,
                "anyOf": [{"properties": {"a": True}}, {"patternProperties": {"^b": True}}],
            },
            {"a": 1, "b": 2, "c": 3},
            (),
            "Unevaluated properties are not allowed ('c' was unexpected)",
        ),
        (
            {"additionalProperties": False},
            {"a": 1, "b": 2},
            (),
            "Additional properties are not allowed ('a', 'b' were unexpected)",
        ),
    ],
)
def test_what_each_keyword_says(schema, value, path, message):
    assert searched(schema, value)[0] == ([(path, message)], True)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"unevaluatedItems": False, "contains": {"const": 1}}, [1, 1]),
        ({"unevaluatedItems": False, "items": True}, [1, 1]),
        ({"unevaluatedItems": False, "allOf": [{"items": True}]}, [1, 1]),
        ({"unevaluatedProperties": False, "allOf": [{"additionalProperties": True}]}, {"a": 1}),
        ({"unevaluatedProperties": {"type": "integer"}}, {"a": 1}),
        ({"if": {"type": "string"}}, "x"),
        ({"anyOf": [{"type": "string"}, True]}, 1),
    ],
)
def test_what_is_right_is_found_right(schema, value):
    assert Validator(schema).is_valid(value)
    assert searched(schema, value)[0] == ([], True)


def test_of_alternatives_that_one_counts_whose_constant_matches():
    event = {
        "oneOf": [
            {"properties": {"type": {"const": "moved"}, "by": {"type": "integer"}, "to": {"type": "string"}}},
            {"properties": {"type": {"const": "left"}, "by": {"type": "string"}}},
        ]
    }
    (found, _), _ = searched(event, {"type": "moved", "by": "x", "to": 1})
    assert [path for path, _ in found] == [("by",), ("to",)]


def test_large_values_are_not_repeated():
    text = "x" * 100_000
    (found, _), _ = searched({"properties": {"a": {"type": "number"}}, "required": ["b"]}, {"a": text})
    assert found == [((), '"b" is a required property'), (("a",), "this text violates 'type': \"number\"")]
    (found, _), _ = searched({"minItems": 9_000}, [1] * 8_000)
    assert found == [((), "this array violates 'minItems': 9000")]
    (found, _), _ = searched({"maxProperties": 2}, {f"name {number}": 1 for number in range(500)})
    assert found == [((), "this object violates 'maxProperties': 2")]


def test_a_search_without_steps_left_gives_what_is_certain():
    schema = {
        "properties": {"a": {"type": "string"}, "b": {"anyOf": [{"items": {"$ref": "#/$defs/n"}}]}},
        "$defs": {"n": {"type": "null"}},
    }
    value = {"a": 1, "b": [[]] * 1000}
    (found, is_all), taken = searched(schema, value, steps=50)
    assert ([path for path, _ in found], is_all) == ([("a",)], False)
    assert taken <= 60


def test_a_search_ends_when_its_time_is_over():
    ticks = iter(range(1000))
    validator = Validator({"items": {"allOf": [{"type": "string"}]}})
    search = Search(validator._leaf, limit=100, seconds=3, clock=lambda: next(ticks))
    assert search.run(validator._root, ["x"] * 1000) == ([], False)
    assert search.taken < 500


def test_a_payload_deeper_than_the_interpreter_goes_stops_the_search():
    validator = Validator({"anyOf": [{"items": SELF, "type": "array"}]})
    search = Search(validator._leaf, limit=100, steps=10**6, seconds=10)
    assert search.run(validator._root, nested(lambda value: [value], 1, 5000)) == ([], False)


def test_many_errors_are_listed_up_to_the_hundredth():
    (found, is_all), _ = searched({"items": {"type": "string"}}, [1] * 1500)
    assert (len(found), found[99], is_all) == (100, ((99,), '1 is not of type "string"'), False)
