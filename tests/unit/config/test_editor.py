"""The editor's schema: the file's own, with the names and options of what is installed."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from streamer.config import editor_schema
from streamer.config.shape import file_schema, with_units
from streamer.contracts.components import Component, Kind


@pytest.fixture
def errors(components):
    validator = Draft202012Validator(editor_schema(components.values()))

    def of(**sections):
        return [error.message for error in validator.iter_errors({"version": 1, **sections})]

    return of


def test_it_is_a_json_schema_and_plain_json(components):
    schema = editor_schema(components.values())
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


def test_a_mapping_of_components_is_taken_as_well(components):
    assert editor_schema(components) == editor_schema(components.values())


def test_the_files_own_schema_is_left_as_it_was(components):
    before = json.dumps(file_schema())
    editor_schema(components)
    assert json.dumps(file_schema()) == before


def test_a_right_file_is_right(errors):
    assert not errors(
        service={"async_threshold": "5s"},
        backends={"store": {"use": "sqlite", "path": "x.db"}, "connections": "local"},
        auth={"use": "acme.jwt", "secret": "x"},
        middleware=["access_log", {"use": "limit", "rate": "10/1s"}],
        actions={"a": {"handler": "report", "with": {"data": "./d", "every": "1m30s", "page": {"margin": 2}}}},
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"middleware": ["acces_log"]},
        {"middleware": [{"use": "acces_log"}]},
        {"middleware": [{"use": "limit", "rate": "often"}]},
        {"middleware": [{"use": "limit", "rat": "10/1s"}]},
        {"backends": {"store": {"use": "sqlit"}}},
        {"backends": {"store": {"use": "sqlite", "path": 5}}},
        {"auth": {"use": "acme.jwt", "secret": 5}},
        {"actions": {"a": {"handler": "ecko"}}},
        {"actions": {"a": {"handler": "echo", "with": {"x": 1}}}},
        {"actions": {"a": {"handler": "report"}}},
        {"actions": {"a": {"handler": "report", "with": {"data": "./d", "every": "5"}}}},
        {"actions": {"a": {"handler": "report", "with": {"data": "./d", "page": {"margin": -1}}}}},
        {"actions": {"a": {"handler": "echo", "timeout": "5"}}},
    ],
)
def test_what_the_file_may_not_say_the_editor_marks(errors, sections):
    assert errors(**sections)


def test_a_variable_may_stand_where_a_number_or_a_unit_is_wanted(errors):
    assert not errors(
        server={"port": "${PORT}", "drain_timeout": "${DRAIN:-5s}"},
        service={"expose_errors": "${DEBUG:-false}"},
        actions={"a": {"handler": "report", "with": {"data": "${DATA}", "rows": "${ROWS}"}}},
    )
    assert errors(server={"port": "8080"})


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "string", "pattern": "^https?://"}, ["${URL}", "${URL:-http://x}", "http://x"], ["ftp://x"]),
        ({"type": "string", "maxLength": 3}, ["${LONG_NAME}", "abc"], ["abcd"]),
        ({"enum": ["a", "b"]}, ["${CHOICE:-a}", "a"], ["c"]),
        ({"type": ["integer", "null"]}, ["${COUNT}", 1, None], ["1"]),
        ({"type": "object", "propertyNames": {"pattern": "^x"}}, [{"x": 1}], [{"${A}": 1}]),
        ({"not": {"enum": ["a"]}}, ["${A}", "b"], ["a"]),
        ({"type": "array", "items": {"type": "integer"}}, [[1, "${N}"]], [["1"]]),
        ({"properties": {"enum": {"type": "integer"}, "default": {"type": "integer"}}}, [{"enum": 1}], [{"enum": "1"}]),
        ({"properties": {"default": {"type": "integer"}}}, [{"default": "${N}"}], [{"default": "1"}]),
    ],
)
def test_a_variable_may_stand_wherever_only_its_form_is_in_the_way(schema, right, wrong):
    def use(option):
        return {"version": 1, "middleware": [{"use": "m", "option": option}]}

    double = Component(kind=Kind.MIDDLEWARE, name="m", factory=list, options={"properties": {"option": schema}})
    validator = Draft202012Validator(editor_schema([double]))
    assert [option for option in right if not validator.is_valid(use(option))] == []
    assert [option for option in wrong if validator.is_valid(use(option))] == []


def test_names_come_with_what_they_are(components):
    schema = editor_schema(components)
    handler = schema["properties"]["actions"]["additionalProperties"]["properties"]["handler"]
    assert handler["enum"] == ["echo", "report", "broken_schema"]
    assert len(handler["markdownEnumDescriptions"]) == 3


def test_units_are_written_out_and_everything_else_is_kept():
    schema = {"items": [{"format": "size", "default": "1B"}, {"format": "path"}, True], "format": ["not", "a", "unit"]}
    assert with_units(schema) == {
        "items": [{**file_schema()["$defs"]["size"], "default": "1B"}, {"format": "path"}, True],
        "format": ["not", "a", "unit"],
    }


def test_the_schema_of_the_repository_is_the_one_that_is_installed():
    assert json.loads((Path(__file__).parents[3] / "schemas/streamer.schema.json").read_text()) == file_schema()


def test_every_place_of_the_files_schema_is_described():
    def undescribed(schema, path):
        for name, below in schema.get("properties", {}).items():
            if "description" not in below:
                yield f"{path}.{name}"
            yield from undescribed(below, f"{path}.{name}")
        for keyword in ("items", "additionalProperties"):
            if isinstance(schema.get(keyword), dict):
                yield from undescribed(schema[keyword], path)

    Draft202012Validator.check_schema(file_schema())
    assert list(undescribed(file_schema(), "")) == []
