"""Every violation of a JSON Schema becomes one sentence for a person, at its place."""

import pytest

from streamer.config import dump
from streamer.config.document import Document
from streamer.config.keywords import unit_problem
from streamer.config.lint import check
from streamer.config.settings import RateLimitSettings
from streamer.core.units import Rate

DURATION = {"type": "string", "x-unit": "duration", "pattern": "never"}


def told(text, schema):
    document = Document("s.yaml")
    document.parse(text)
    check(document, document.data, schema, ())
    return [f"{problem.code}: {problem.place}: {problem.message}" for problem in document.problems]


def one(value, schema):
    """What is told of one value."""
    lines = told(f"v: {value}", {"properties": {"v": schema}})
    assert len(lines) == 1, lines
    return lines[0].replace(": v: ", ": ", 1)


@pytest.mark.parametrize(
    ("value", "schema", "line"),
    [
        ("5", {"type": "string"}, "wrong-type: must be a string, not 5"),
        ("{}", {"type": "string"}, "wrong-type: must be a string, not a mapping"),
        ("[]", {"type": ["string", "null"]}, "wrong-type: must be a string or nothing, not a list"),
        ("", {"type": "object"}, "wrong-type: must be a mapping, not nothing; set it, or remove the key"),
        ("'5'", {"type": "integer"}, "wrong-type: must be a whole number, not '5'; write it without quotes"),
        ("'5.5'", {"type": "number"}, "wrong-type: must be a number, not '5.5'; write it without quotes"),
        ("'5.5'", {"type": "integer"}, "wrong-type: must be a whole number, not '5.5'"),
        ("many", {"type": "integer"}, "wrong-type: must be a whole number, not 'many'"),
        ("yes", {"type": "boolean"}, "wrong-type: must be true or false, not 'yes'; write true"),
        ("Off", {"type": "boolean"}, "wrong-type: must be true or false, not 'Off'; write false"),
        ("maybe", {"type": "boolean"}, "wrong-type: must be true or false, not 'maybe'"),
        ("true", {"type": "integer"}, "wrong-type: must be a whole number, not true"),
        ("5", {"minimum": 6}, "bad-value: must be at least 6, not 5"),
        ("5", {"maximum": 4}, "bad-value: must be at most 4, not 5"),
        ("5", {"exclusiveMinimum": 5}, "bad-value: must be above 5, not 5"),
        ("5", {"exclusiveMaximum": 5}, "bad-value: must be below 5, not 5"),
        ("5", {"multipleOf": 2}, "bad-value: must be a multiple of 2, not 5"),
        ("''", {"minLength": 1}, "bad-value: must not be empty"),
        ("ab", {"minLength": 3}, "bad-value: must have at least 3 characters, not 2"),
        ("ab", {"maxLength": 1}, "bad-value: must have at most 1 character, not 2"),
        ("[1, 2]", {"maxItems": 1}, "bad-value: must have at most 1 item, not 2"),
        ("{a: 1}", {"minProperties": 2}, "bad-value: must have at least 2 keys, not 1"),
        ("ab", {"pattern": "^x"}, "bad-value: 'ab' does not match the regular expression ^x"),
        ("[1, 1]", {"uniqueItems": True}, "bad-value: the same item is listed twice"),
        ("[1]", {"contains": {"const": 2}}, "bad-value: none of its items is one of the required ones"),
        ("5", {"not": {"const": 5}}, "bad-value: 5 is not allowed here"),
        ("5", {"allOf": [False]}, "bad-value: 5 is not allowed here"),
        ("5", {"const": 6}, "bad-value: must be 6, not 5"),
        ("'6'", {"const": 6}, "bad-value: must be 6, not '6'; write it without quotes"),
        ("'true'", {"const": 1}, "bad-value: must be 1, not 'true'"),
        ("'false'", {"enum": [0, False]}, "bad-value: must be one of 0, false, not 'false'; write it without quotes"),
        (
            "jsn",
            {"enum": ["json", "xml", None]},
            "bad-value: must be one of json, xml, nothing, not 'jsn' (did you mean 'json'?)",
        ),
        (
            "{a: 1}",
            {"dependentRequired": {"a": ["b"], "c": ["d"]}},
            "bad-value: these keys are missing: b (needed by a)",
        ),
        ("{a: 1}", {"unevaluatedProperties": False}, "bad-value: a mapping does not satisfy unevaluatedProperties"),
        ("{A: 1}", {"propertyNames": {"pattern": "^a"}}, "bad-value: 'A' does not match the regular expression ^a"),
        ("5", {"anyOf": [{"type": "string"}, {"type": "array"}]}, "wrong-type: must be a string or a list, not 5"),
        (
            "[5]",
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "wrong-type: v[0]: must be a string, not 5",
        ),
        ("5", {"anyOf": [{"maximum": 3}, {"type": "string"}]}, "bad-value: must be at most 3, not 5"),
        (
            "5",
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "array"}]},
            "wrong-type: must be a string or a list, not 5",
        ),
        (
            "5",
            {"oneOf": [{"minimum": 1}, {"maximum": 9}]},
            "bad-value: 5 matches more than one of the alternatives; it must match exactly one",
        ),
        ("5", DURATION, "bad-duration: 5 has no unit; add one, as in 5s or 5ms"),
        ("true", DURATION, "wrong-type: must be a string, not true"),
        ("5", {"type": "string", "x-unit": "size"}, "bad-size: 5 has no unit; add one, as in 5B or 5KiB"),
        ("5", {"type": "string", "x-unit": "rate"}, "bad-rate: 5 has no unit; add one, as in 5/1s or 5/1m"),
        ("0s", {**DURATION, "x-above-zero": True}, "bad-value: must be above zero, not '0s'"),
        ("0.0KiB", {"x-unit": "size", "x-above-zero": True}, "bad-value: must be above zero, not '0.0KiB'"),
    ],
)
def test_a_violation_is_a_sentence(value, schema, line):
    assert one(value, schema) == line


@pytest.mark.parametrize("value", ["soon", "0", "5 s"])
def test_a_wrong_unit_is_told_once(value):
    assert one(f"'{value}'", {**DURATION, "x-above-zero": True}).startswith(
        f"bad-duration: '{value}' is not a duration"
    )


def test_a_number_beyond_all_measure_is_wrong_and_no_crash():
    huge = "9" * 400
    assert one(f"'{huge}GiB'", {"x-unit": "size"}).endswith("is larger than any file can be")
    assert unit_problem("duration", huge + "d").endswith("is longer than a hundred years")
    assert unit_problem("rate", huge * 20 + "/1m").endswith("is too large")
    assert unit_problem("rate", "100/1m") is None


def test_a_long_value_is_cut():
    assert len(one("'" + "x" * 500 + "'", {"type": "integer"})) < 130
    assert len(one("'" + "9" * 500 + "d'", {"x-unit": "duration"})) < 130


def test_what_is_written_in_the_pattern_beside_a_unit_is_for_editors_only():
    assert told("v: 5s", {"properties": {"v": {**DURATION, "x-above-zero": True}}}) == []


def test_every_unknown_key_is_told_with_the_nearest_or_with_all():
    schema = {"properties": {"name": {}, "Limit": {}}, "additionalProperties": False}
    assert told("nam: 1\nlimit: 2\nz: 3", schema) == [
        "unknown-key: : 'nam' (did you mean 'name'?)",
        "unknown-key: : 'limit' (did you mean 'Limit'?)",
        "unknown-key: : 'z' (available: name, Limit)",
    ]
    assert told("a: 1", {"additionalProperties": False}) == ["unknown-key: : 'a' (none are available)"]


def test_an_option_of_a_handler_that_stands_beside_the_handler_is_told_where_it_belongs():
    schema = {"properties": {"handler": {}, "with": {}}, "additionalProperties": False}
    assert told("handler: delay\ndelay: 3s", schema) == [
        "unknown-key: : 'delay' (available: handler, with); write a handler's own options below 'with'"
    ]


def test_keys_that_a_pattern_allows_are_not_unknown():
    schema = {"patternProperties": {"^x-": {}}, "additionalProperties": False}
    assert told("x-a: 1\nb: 2", schema) == ["unknown-key: : 'b' (none are available)"]


def test_an_alternative_that_only_a_key_is_missing_from_is_the_one_that_was_meant():
    schema = {"anyOf": [{"type": "string"}, {"type": "object", "required": ["use"]}]}
    assert told("v: {}", {"properties": {"v": schema}}) == ["missing-key: v: 'use' is missing"]


def test_a_key_of_a_schema_for_further_keys_is_checked_by_that():
    assert told("a: 1", {"additionalProperties": {"type": "string"}}) == ["wrong-type: a: must be a string, not 1"]


def test_a_missing_key_is_told_with_its_purpose_unless_it_is_there_misspelt():
    schema = {
        "required": ["handler", "name", "id"],
        "properties": {"handler": {"description": "What runs it"}, "name": True},
        "additionalProperties": False,
    }
    assert sorted(told("handlr: 1", schema)) == [
        "missing-key: : 'id' is missing",
        "missing-key: : 'name' is missing",
        "unknown-key: : 'handlr' (did you mean 'handler'?)",
    ]
    assert set(told("x: 1", {**schema, "additionalProperties": True})) == {
        "missing-key: : 'handler' is missing: what runs it",
        "missing-key: : 'name' is missing",
        "missing-key: : 'id' is missing",
    }


def test_nothing_more_is_said_of_a_place_whose_problem_is_told():
    document = Document("s.yaml")
    document.parse("v: !x 5\nw: 5")
    check(document, document.data, {"additionalProperties": {"type": "string"}}, ())
    assert [problem.code for problem in document.problems] == ["yaml-feature", "wrong-type"]


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("hush-hush", {"type": "integer"}),
        ("hush-hush", {"pattern": "^t-"}),
        ("hush-hush", {"enum": ["hush"]}),
        ("hush-hush", {"const": "x"}),
        ("hush-hush", {"maxLength": 2}),
        ("hush-hush", {"type": "string", "x-unit": "duration"}),
        ("991199", {"type": "string", "x-unit": "duration"}),
        ("991199", {"maximum": 5}),
        ("hush-hush", {"not": {}}),
    ],
)
def test_a_secret_is_never_shown(value, schema):
    line = one(value, {**schema, "writeOnly": True})
    assert value not in line
    assert "991199" not in line


def test_networks_are_checked_and_secrets_among_them_are_not_shown(problems_of):
    problems = problems_of(
        'version: 1\nserver: {trusted_proxies: [10.0.0.0/8, 10.0.0.0/33, proxy.example.com, 7, "${PROXY}"]}\n',
        PROXY="hush-hush",
    )
    assert [line.split(": ", 1)[1].split(": write")[0] for line in problems] == [
        "bad-value: server.trusted_proxies[1]: '10.0.0.0/33' is not a network or an IP address",
        "bad-value: server.trusted_proxies[2]: 'proxy.example.com' is not a network or an IP address",
        "wrong-type: server.trusted_proxies[3]: must be a string, not 7",
        "bad-value: server.trusted_proxies[4]: this is not a network or an IP address (filled from ${PROXY})",
    ]


def test_the_settings_of_connections_and_rates_reach_the_settings_and_are_dumped(settings_of):
    text = (
        "version: 1\nserver: {connection_rate: 50/1s, trusted_proxies: [10.0.0.0/8], max_connections_per_address: 7}\n"
        "actions: {a: {handler: echo, rate_limit: {limit: 100/1m, burst: 5, per: tenant}}}\n"
    )
    settings = settings_of(text)
    assert settings.server.connection_rate == Rate(50, 1.0)
    assert settings.server.trusted_proxies == ("10.0.0.0/8",)
    assert settings.server.max_connections_per_address == 7
    assert settings.actions["a"].rate_limit == RateLimitSettings(limit=Rate(100, 60.0), burst=5, per="tenant")
    assert settings_of(dump(settings)) == settings
    assert "refused_limit: 6000/1m" in dump(settings)
