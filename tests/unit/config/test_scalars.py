"""Plain scalars mean what the same JSON means."""

import math

import pytest

from streamer.config.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-17", -17),
        ("+3", 3),
        ("007", 7),
        ("0o17", 15),
        ("0xFf", 255),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e-8", 1e-8),
        ("-1E+3", -1000.0),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
    ],
)
def test_numbers_and_truth_values_are_those_of_the_core_schema(text, value):
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_float():
    assert math.isnan(resolve(".nan"))


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "no",
        "on",
        "off",
        "Y",
        "1:30",
        "2026-01-01",
        "1_000",
        "0b1",
        "1e",
        "e5",
        "٣",
        "0o8",
        "tRue",
        "nil",
        "-",
        "+.5.1",
    ],
)
def test_what_yaml_1_1_turned_into_something_else_is_text(text):
    assert resolve(text) == text


def test_a_number_without_end_is_text():
    assert resolve("9" * 5000) == "9" * 5000


@pytest.mark.parametrize("text", ["0x" + "f" * 3990, "9" * 3001])
def test_a_number_that_python_could_not_write_is_a_text(text):
    assert resolve(text) == text
