from __future__ import annotations

import socket

import pytest

from streamer.contracts.components import Component, Kind, handler
from streamer.plugins.checks import name_problem, returned_problems


def problems(component: Component) -> list[str]:
    return list(returned_problems("streamer_handlers", [component]))


def made(**changes) -> Component:
    return Component(**{"kind": Kind.HANDLER, "name": "a", "factory": print, **changes})


@pytest.mark.parametrize("name", ["a", "create_user", "Create-User2", "x" * 64])
def test_a_good_name_is_let_through(name):
    assert name_problem(name) is None
    assert problems(handler(name, print)) == []


@pytest.mark.parametrize("name", ["", "a.b", "1a", "_a", "a b", "ä", "a\n", "x" * 65, None, 3])
def test_a_name_with_wrong_characters_is_refused(name):
    (problem,) = problems(made(name=name))
    assert f"the name {name!r} is not allowed: use a letter, then letters, digits, '_' or '-'" in problem


def test_a_factory_that_cannot_be_called_is_refused():
    assert problems(made(factory="echo")) == [
        "handler 'a': its factory is a str, not a callable of options and context"
    ]


def test_a_check_that_cannot_be_called_is_refused():
    for what in ("check", "check_machine", "operator", "provision"):
        said = f"handler 'a': its {what} is a str, not a callable of options and context"
        assert problems(made(**{what: "options"})) == [said]
    assert problems(made(check=print)) == []


def test_options_that_are_not_a_json_schema_are_refused_with_their_place():
    (problem,) = problems(made(options={"type": "object", "properties": {"size": {"type": "integr"}}}))
    assert problem.startswith("handler 'a': its options is not a valid JSON Schema: at $.properties.size.type: ")


@pytest.mark.parametrize("options", [[], "object", None, True])
def test_options_that_are_no_dict_are_refused(options):
    (problem,) = problems(made(options=options))
    assert "not a JSON Schema in a dict" in problem


def test_options_that_do_not_describe_an_object_are_refused():
    (problem,) = problems(made(options={}))
    assert "must have type: object" in problem


def test_schemas_of_payload_and_result_are_checked_in_their_own_dialect():
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"minimum": "x"}}}
    first, second = problems(made(schema={"type": 3}, result_schema=old))
    assert "its schema is not a valid JSON Schema" in first
    assert "its result_schema is not a valid JSON Schema: at $.definitions.a.minimum" in second
    assert problems(made(schema={"type": "string"}, result_schema={"type": "null"})) == []


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"pattern": "("}, "$.pattern: '(' is not a 'regex'"),
        ({"properties": {"a": {"patternProperties": {"(": {}}}}}, "$.properties.a.patternProperties: '(' is not a"),
        ({"required": ("a",)}, "$.required: ('a',) is not of type 'array'"),
        ({"properties": {"a": {"type": "text"}}}, "$.properties.a.type: 'text' is not valid under any"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": 3}, "$.items: 3 is not valid under any"),
        ({"$schema": "http://json-schema.org/draft-07/schema", "maximum": ""}, "$.maximum: '' is not of type 'number'"),
        ({"$schema": "https://json-schema.org/draft/2019-09/schema", "then": 3}, "$.then: 3 is not of type"),
        (
            {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": ""},
            "$.minimum: '' is not of type 'number'",
        ),
    ],
)
def test_what_is_wrong_with_a_schema_is_told_with_its_place(schema, place):
    (problem,) = problems(made(schema=schema))
    assert problem.startswith(f"handler 'a': its schema is not a valid JSON Schema: at {place}")


@pytest.mark.parametrize("depth", [600, 100_000])
def test_a_schema_that_is_nested_too_deeply_is_refused(depth):
    schema = {}
    for _ in range(depth):
        schema = {"not": schema}
    assert problems(made(schema=schema)) == [
        "handler 'a': its schema is not a valid JSON Schema: it is nested too deeply"
    ]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "required": ["a"], "pattern": "a+", "properties": {"a": True}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"$ref": "#/definitions/a"}]},
        {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
        {"const": {1: 2}},
        {"default": {1, 2}},
        {"maximum": 10**400},
        {"default": "\ud800"},
    ],
)
def test_a_valid_schema_is_let_through(schema):
    assert problems(made(schema=schema)) == []


def test_nothing_is_fetched_for_a_schema_that_names_another_host():
    with socket.create_server(("127.0.0.1", 0)) as host:
        url = f"http://127.0.0.1:{host.getsockname()[1]}/schema"
        assert problems(made(schema={"$schema": url})) == []
        assert problems(made(schema={"$ref": url})) == []
        assert problems(made(schema={"properties": {"a": {"$id": url, "$schema": url}}})) == []
        host.setblocking(False)
        with pytest.raises(BlockingIOError):
            host.accept()


@pytest.mark.parametrize("text", ["5", "fast", 5])
def test_an_estimate_that_is_no_duration_is_refused(text):
    (problem,) = problems(made(estimated_duration=text))
    assert "its estimated_duration is invalid" in problem


def test_an_estimate_with_a_unit_is_let_through():
    assert problems(made(estimated_duration="200ms")) == []


def test_a_command_without_its_plugins_prefix_is_refused():
    command = Component(kind=Kind.COMMAND, name="seed", factory=print, prefixed=False)
    assert list(returned_problems("streamer_commands", [command])) == [
        "command 'seed': a command always has its plugin's prefix; remove prefixed"
    ]
