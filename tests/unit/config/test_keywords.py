"""The quick check of what fits, held against the one that words the violations."""

import socket

import pytest

from streamer.config.keywords import fits
from streamer.config.shape import file_schema
from streamer.config.violations import violations

UNIT = {"type": "string", "x-unit": "duration", "pattern": "never"}
VALUES = [
    None,
    True,
    0,
    1,
    1.0,
    5,
    -1,
    0.3,
    10**30,
    "",
    "a",
    "5s",
    "0s",
    "5",
    "5 s",
    "1KiB",
    "3/1m",
    "::1",
    "10.0.0.0/8",
    [],
    [1, 1],
    ["5s"],
    {},
    {"a": 1},
    {"a": "5s"},
    {"b": None},
]
NO_JSON = [{1: 2}, {"a": {1, 2}}]
SCHEMAS = [
    True,
    False,
    UNIT,
    {"x-unit": "size"},
    {"x-unit": "rate", "x-above-zero": True},
    {**UNIT, "x-above-zero": True},
    {"x-network": True},
    {"pattern": "^[0-9]+$"},
    {"pattern": "(?P<python>a)"},
    {"type": ["string", "integer"], "minimum": 1, "maxLength": 2},
    {"enum": [1, "a", None]},
    {"const": 1},
    {"multipleOf": 0.5},
    {"items": UNIT, "uniqueItems": True},
    {"properties": {"a": UNIT}, "required": ["a"], "additionalProperties": False},
    {"properties": {"a": {"$ref": "#/$defs/unit"}}, "$defs": {"unit": UNIT}},
    {"anyOf": [UNIT, {"type": "integer"}]},
    {"oneOf": [{"type": "integer"}, {"minimum": 3}]},
    {"not": {"type": "string"}},
    {"propertyNames": {"pattern": "^a"}},
    {"format": "ipv4"},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_what_fits_has_no_violations_and_what_does_not_has_some(schema):
    for value in VALUES:
        assert fits(value, schema) == (next(violations(value, schema), None) is None), value
    for value in NO_JSON:
        assert not fits(value, schema) or next(violations(value, schema), None) is None, value


def test_the_files_own_schema_needs_no_second_look():
    assert fits({"version": 1, "worker": {"lease": "30s"}, "actions": {"a": {"handler": "echo"}}}, file_schema())
    assert not fits({"version": 1, "worker": {"lease": "30"}}, file_schema())


def test_nothing_is_fetched_for_a_reference(tmp_path):
    (tmp_path / "all.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as host:
        url = f"http://127.0.0.1:{host.getsockname()[1]}/schema"
        for reference in (url, (tmp_path / "all.json").as_uri(), "other.json", "#/$defs/a"):
            assert not fits(1, {"$ref": reference})
        host.setblocking(False)
        with pytest.raises(BlockingIOError):
            host.accept()
