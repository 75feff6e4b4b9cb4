"""Schemas on which the library itself is slow: what one payload may cost is bounded before it is validated."""

from __future__ import annotations

import time

import pytest

from streamer.core.errors import Error
from streamer.engine.schema_patterns import LONGEST, slow_pattern
from streamer.engine.validation import SchemaError, Validator

SLOW = "(a{1,100}){1,100}b"
MANY = 60_000


def each(item):
    return {"items": item}


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        (each({"enum": [{"a": number} for number in range(5_000)]}), [{"a": 4_999}] * 14_000),
        (each({"enum": [[number] for number in range(5_000)]}), [[4_999]] * 14_000),
        (each({"enum": [number + 0.5 for number in range(500)]}), [499.5] * 20_000),
        (each({"enum": [None, *range(5_000)]}), [4_999] * 20_000),
        (each({"oneOf": [{"const": number} for number in range(250)]}), [249] * 30_000),
        (each({"anyOf": [{"const": {"a": number}} for number in range(250)]}), [{"a": 249}] * 14_000),
        (each({"not": {"enum": [{"a": number} for number in range(500)]}}), [{"a": -1}] * 14_000),
        (each({"dependentRequired": {f"k{number}": ["x"] for number in range(1_000)}}), [{}] * 40_000),
        (each({"allOf": [{"maximum": number + 0.5} for number in range(50)]}), [0.25] * 20_000),
        (each({"multipleOf": 1e-300}), [1e300] * 40_000),
        (
            {"allOf": [{"contains": {"const": number}} for number in range(20)], "unevaluatedItems": False},
            [0] * 40_000 + [*range(20)],
        ),
    ],
)
def test_a_payload_that_would_take_seconds_is_refused_by_its_size(schema, payload):
    validator = Validator(schema)
    start = time.thread_time()
    with pytest.raises(Error) as caught:
        validator.check(payload)
    assert time.thread_time() - start < 1
    [error] = caught.value.details["errors"]
    assert error["path"] == ""
    assert "values, the limit of this schema for one request" in error["message"]


@pytest.mark.parametrize(
    "schema",
    [
        each({"enum": [f"country-{number}" for number in range(250)]}),
        each({"enum": [*range(250)]}),
        each({"enum": [None, True, *(f"country-{number}" for number in range(250))]}),
        each({"type": "number", "minimum": -90.0, "maximum": 90.0}),
        each({"required": ["a"], "properties": {"a": {"const": 1}}}),
    ],
)
def test_ordinary_schemas_take_as_many_values_as_a_message_holds(schema):
    assert Validator(schema)._cost.most_values is None or Validator(schema)._cost.most_values > MANY


def test_a_payload_within_the_bound_is_validated():
    validator = Validator(each({"enum": [{"a": number} for number in range(50)]}))
    assert validator.is_valid([{"a": 49}] * 100)
    with pytest.raises(Error, match="not one of"):
        validator.check([{"a": 49}, {"a": 50}])


def test_results_are_as_large_as_they_are():
    validator = Validator(each({"enum": [number + 0.5 for number in range(50)]}), bounded=False)
    assert validator.is_valid([0.5] * 20_000)


@pytest.mark.parametrize("rest", [{}, {"maxLength": 100_000}])
def test_a_pattern_that_is_slow_does_not_compile(rest):
    with pytest.raises(SchemaError, match=f"add a maxLength of at most {LONGEST}"):
        Validator({"properties": {"a": {"pattern": SLOW, **rest}}})
    with pytest.raises(SchemaError, match="nested counts"):
        Validator({"patternProperties": {SLOW: True}})


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(([a-zA-Z0-9-]{1,63})\.){1,126}[a-zA-Z]{2,63}$",
        r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,127}[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$",
        r"^[a-zA-Z0-9.!#$%&*+/=?^_`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
        r"^([a-z0-9-]{1,63},){0,999}[a-z0-9-]{1,63}$",
    ],
)
def test_names_of_hosts_and_addresses_are_quick_whatever_their_counts(pattern):
    Validator({"pattern": pattern})


@pytest.mark.parametrize("length", [201, 1_000, 60_000, 128_000])
def test_a_slow_pattern_is_not_tried_on_texts_over_its_length(length):
    validator = Validator({"items": {"pattern": SLOW, "maxLength": 200}})
    start = time.thread_time()
    with pytest.raises(Error) as caught:
        validator.check(["a" * length + "b"])
    assert time.thread_time() - start < 1
    [error] = caught.value.details["errors"]
    assert error == {"path": "/0", "message": "this text violates 'maxLength': 200"}


def test_errors_of_short_texts_say_what_they_said():
    validator = Validator({"pattern": SLOW, "maxLength": 200})
    assert validator.is_valid("aab")
    with pytest.raises(Error, match="does not match"):
        validator.check("x")


def test_one_try_that_was_held_up_refuses_nothing():
    class Quick:
        def is_valid(self, _text):
            return False

    times = iter([0, 1, *(0 for _ in range(100))])
    assert slow_pattern({"pattern": SLOW}, lambda _keywords: Quick(), lambda: next(times)) == ""
    long = f"({'a' * 100}{{1,100}}){{1,100}}"
    assert "…'" in slow_pattern({"pattern": long}, lambda _keywords: Quick(), iter(range(10)).__next__)
