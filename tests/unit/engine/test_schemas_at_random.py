"""Schemas that contain themselves by every applicator, and payloads that are deep: each refusal ends, and says why."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from streamer.engine.schema_search import MAX_STEPS, Search
from streamer.engine.validation import SchemaError, Validator

pytestmark = pytest.mark.no_cover  # many examples of what other tests cover; traced, they take three times as long

LONG = 0.5
"""Seconds: a hundred times what a refusal may take, for machines that do other work."""


@pytest.fixture(autouse=True)
def no_garbage_collection():
    """A collection of all that a run of tests has in memory takes longer than a whole search may."""
    gc.disable()
    yield
    gc.enable()


NAMES = st.sampled_from(["a", "b", "c"])
REFERENCES = st.sampled_from([{"$ref": "#"}, {"$ref": "#/$defs/x"}, {"$ref": "#/$defs/y"}, {"$dynamicRef": "#node"}])
LEAVES = st.sampled_from(
    [
        True,
        {"type": "string"},
        {"type": "number"},
        {"const": 1},
        {"type": ["array", "object", "number"]},
        {"minItems": 1},
    ]
)


def lists(inner: Any) -> Any:
    return st.lists(inner, min_size=1, max_size=3)


def applicators(inner: Any) -> Any:
    """Objects with one keyword or a few that hold schemas."""
    named = st.dictionaries(NAMES, inner, min_size=1, max_size=2)
    keywords = {
        "allOf": lists(inner),
        "anyOf": lists(inner),
        "oneOf": lists(inner),
        "prefixItems": lists(inner),
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "items": inner,
        "contains": inner,
        "minContains": st.integers(0, 2),
        "additionalProperties": inner,
        "unevaluatedProperties": st.one_of(st.just(False), inner),
        "unevaluatedItems": st.one_of(st.just(False), inner),
        "propertyNames": st.sampled_from([{"maxLength": 3}, {"enum": ["a", "b"]}]),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b|c", "."]), inner, min_size=1, max_size=2),
        "properties": named,
        "dependentSchemas": named,
    }
    return st.sets(st.sampled_from(sorted(keywords)), min_size=1, max_size=3).flatmap(
        lambda chosen: st.fixed_dictionaries({keyword: keywords[keyword] for keyword in sorted(chosen)})
    )


PARTS = st.recursive(st.one_of(REFERENCES, LEAVES), applicators, max_leaves=6)
SCHEMAS = st.builds(
    lambda whole, x, y: {**whole, "$defs": {"x": x, "y": y}, "$dynamicAnchor": "node"}, applicators(PARTS), PARTS, PARTS
)
_WRAPPINGS = {
    "[": lambda value: [value],
    "a": lambda value: {"a": value},
    "b": lambda value: {"b": value},
    "2": lambda value: [1, value],
    "c": lambda value: {"a": value, "c": 1},
}


def wrapped(leaf: Any, wrappings: str) -> Any:
    for one in wrappings:
        leaf = _WRAPPINGS[one](leaf)
    return leaf


DEPTHS = st.one_of(st.text("[ab2c", max_size=60), st.sampled_from("[ab2c").map(lambda one: one * 60))
PAYLOADS = st.builds(wrapped, st.sampled_from([1, "x", None, {}]), DEPTHS)


@given(SCHEMAS, PAYLOADS)
@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_refusal_ends_within_its_bound(schema, payload):
    try:
        validator = Validator(schema)
    except SchemaError:
        assume(False)
    began = time.thread_time()
    if validator.is_valid(payload):
        return
    assert validator.error(payload).details["errors"]
    assert time.thread_time() - began < LONG
    search = Search(validator._leaf, limit=100)
    search.run(validator._root, payload)
    # The last step may be a larger one.
    assert search.taken <= MAX_STEPS + 200


@given(SCHEMAS, PAYLOADS)
@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))
def test_something_is_found_exactly_where_the_library_finds_the_value_wrong(schema, payload):
    try:
        validator = Validator(schema)
    except SchemaError:
        assume(False)
    search = Search(validator._leaf, limit=100, steps=10**6, seconds=5)
    found, is_all = search.run(validator._root, payload)
    assume(is_all)
    assert bool(found) is not validator.is_valid(payload)
