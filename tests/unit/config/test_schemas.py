"""The JSON Schemas of actions: three drafts, references to files, nothing fetched; with the service's validator."""

import json

import pytest

from streamer.engine.validation import Validator

FILES = {
    "schemas/order.json": {
        "type": "object",
        "properties": {
            "customer": {"$ref": "common/people.json#/$defs/customer"},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        },
        "$defs": {"line": {"type": "object", "required": ["sku"], "properties": {"of": {"$ref": "order.json"}}}},
    },
    "schemas/common/people.json": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$defs": {"customer": {"properties": {"name": {"type": "string"}, "last_order": {"$ref": "../order.json"}}}},
    },
}


def as_text(files):
    return {name: json.dumps(content) for name, content in files.items()}


def action(schema, **files):
    return f"version: 1\nactions:\n  a:\n    handler: echo\n    schema: {schema}\n"


@pytest.fixture
def validator_of(settings_of):
    """The validator that the service would make of an action's settings."""

    def make(text, files=None):
        found = settings_of(text, files).actions["a"]
        base = None if found.schema_path is None else found.schema_path.as_uri()
        return Validator(found.schema, found.schema_resources, base)

    return make


def test_references_lead_through_files_and_back(validator_of):
    validator = validator_of(action("schemas/order.json"), as_text(FILES))
    assert validator.is_valid({"customer": {"name": "Ada", "last_order": {"lines": [{"sku": 1}]}}})
    assert not validator.is_valid({"customer": {"name": 5}})
    assert not validator.is_valid({"customer": {"last_order": {"lines": [{}]}}})
    assert not validator.is_valid({"lines": [{"sku": 1, "of": {"lines": [{}]}}]})


def test_a_schema_written_in_the_file_refers_to_files_beside_it(validator_of):
    validator = validator_of(action("{$ref: 'schemas/common/people.json#/$defs/customer'}"), as_text(FILES))
    assert validator.is_valid({"name": "Ada"})
    assert not validator.is_valid({"name": 5})


@pytest.mark.parametrize(
    ("draft", "keyword"),
    [
        ("http://json-schema.org/draft-07/schema#", "items"),
        ("https://json-schema.org/draft/2019-09/schema", "items"),
        ("https://json-schema.org/draft/2020-12/schema", "prefixItems"),
        (None, "prefixItems"),
    ],
)
def test_each_draft_means_what_it_says(validator_of, draft, keyword):
    schema = {keyword: [{"type": "string"}]} | ({} if draft is None else {"$schema": draft})
    validator = validator_of(action("s.json"), as_text({"s.json": schema}))
    assert validator.is_valid(["a"])
    assert not validator.is_valid([1])


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://json-schema.org/draft-07/schema#"},
        {"$ref": "https://json-schema.org/draft/2019-09/schema"},
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        {"$ref": "https://json-schema.org/draft/2020-12/meta/core"},
    ],
)
def test_the_drafts_own_schemas_may_be_named(validator_of, schema):
    validator_of(action("s.json"), as_text({"s.json": schema}))


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({"$id": "urn:example:a", "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"type": "string"}}}, [1]),
        ({"items": {"$ref": "#name"}, "$defs": {"x": {"$anchor": "name", "type": "string"}}}, [1]),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "items": {"$ref": "#name"},
                "definitions": {"x": {"$id": "#name", "type": "string"}},
            },
            [1],
        ),
        ({"items": {"$ref": "x.json"}, "$defs": {"x": {"$id": "x.json", "type": "string"}}}, [1]),
        (
            {
                "$id": "https://example.com/a.json",
                "items": {"$ref": "https://example.com/a.json#/$defs/x"},
                "$defs": {"x": {"type": "string"}},
            },
            [1],
        ),
        ({"$id": "sub/a.json", "items": {"$ref": "b.json"}}, [1]),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "$id": "https://example.com/a.json",
                "$ref": "#/definitions/x",
                "definitions": {"x": {"type": "string"}},
            },
            1,
        ),
        ({"items": {"$ref": "#/parts/x"}, "parts": {"x": {"$ref": "sub/b.json"}}}, [1]),
        ({"items": {"$ref": "my%20file.json"}}, [1]),
        ({"items": {"$ref": "#/$defs/a~1b"}, "$defs": {"a/b": {"type": "string"}}}, [1]),
        ({"$dynamicAnchor": "n", "type": "array", "items": {"$dynamicRef": "#n"}}, [1]),
    ],
)
def test_references_are_resolved_as_the_drafts_say(validator_of, schema, wrong):
    files = {"s.json": schema, "sub/b.json": {"type": "string"}, "my file.json": {"type": "string"}}
    validator = validator_of(action("s.json"), as_text(files))
    assert not validator.is_valid(wrong)


def test_a_path_may_lead_outside_of_the_folder(validator_of, tmp_path):
    (tmp_path / "streamer").mkdir()
    outside = tmp_path.parent / f"{tmp_path.name}-outside.json"
    outside.write_text('{"type": "string"}')
    assert not validator_of(action(f"../{outside.name}")).is_valid(1)
    assert not validator_of(action(str(outside))).is_valid(1)
    assert not validator_of(action(f"{{$ref: '../{outside.name}'}}")).is_valid(1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ["streamer.yaml:5:13: unreadable: s.json: there is no such file"]),
        ({"s.json/x": ""}, ["streamer.yaml:5:13: unreadable: s.json: Is a directory"]),
        ({"s.json": "{\n,}"}, ["s.json:2:1: bad-schema: it is not JSON: Expecting property name"]),
        (
            {"s.json": "[]"},
            ["s.json:1:1: bad-schema: not a JSON Schema: must be a mapping or true or false, not a list"],
        ),
        (
            {"s.json": "null"},
            ["s.json:1:1: bad-schema: not a JSON Schema: must be a mapping or true or false, not nothing"],
        ),
        (
            {"s.json": '{"$schema": "https://e.com/x"}'},
            ["s.json:1:13: bad-schema: $schema 'https://e.com/x' is unknown"],
        ),
        (
            {"s.json": '{"$schema": {}}'},
            ["s.json:1:13: bad-schema: $schema a mapping is unknown; use one of http://json"],
        ),
        (
            {"s.json": '{"$ref": "t.json"}', "t.json": '{"not": {\n"$ref": "u.json", "minimum": "x"}}'},
            [
                "t.json:2:9: missing-reference: $ref 'u.json': there is no such file: u.json",
                "t.json:2:30: bad-schema: not a JSON Schema: must be a number, not 'x'",
            ],
        ),
        (
            {"s.json": '{"allOf": [{"$ref": "t.json#/a"}, {"$ref": "t.json#b"}]}', "t.json": "{}"},
            [
                "s.json:1:21: missing-reference: $ref 't.json#/a': nothing exists at '#/a' in t.json",
                "s.json:1:44: missing-reference: $ref 't.json#b': nothing exists at '#b' in t.json",
            ],
        ),
        ({"s.json": '{"$ref": "t.json"}', "t.json": "{"}, ["t.json:1:2: bad-schema: it is not JSON"]),
        (
            {"s.json": '{"$id": "https://e.com/s.json", "$ref": "t.json"}'},
            ["s.json:1:41: remote-reference: $ref 't.json', which the schema's $id makes https://e.com/t.json, is not"],
        ),
        ({"s.json": '{"$ref": "a b"}'}, ["s.json:1:10: bad-schema: $ref 'a b' is not a URI; write 'a%20b'"]),
        (
            {"s.json": '{"$ref": "http://[a"}'},
            ["s.json:1:10: bad-schema: $ref 'http://[a' is not a URI; write 'http://%5Ba'"],
        ),
        ({"s.json": '{"$ref": "http:[::"}'}, ["s.json:1:10: "]),
        (
            {"s.json": '{"$ref": "t.json?a#/b"}', "t.json": "{}"},
            ["s.json:1:10: missing-reference: $ref 't.json?a#/b': the address of a file has no '?'; w"],
        ),
        ({"s.json": '{"$ref": "?a"}'}, ["s.json:1:10: missing-reference: $ref '?a': the address of a file has no '?'"]),
        (
            {"s.json": '{"$ref": "a", "patternProperties": {"[": {}}}', "a": "{}"},
            ["s.json:1:42: bad-pattern: the regular expression '[' cannot be used"],
        ),
        ({"s.json": '{"const": "\\ud800"}'}, ["s.json:1:1: bad-schema: it does not compile: "]),
        ({"s.json": '{"not": ' * 300 + "{}" + "}" * 300}, ["s.json:1:1: bad-schema: it is nested too deeply"]),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(problems_of, files, expected):
    told = [line.replace(": actions.a.schema: ", ": ") for line in problems_of(action("s.json"), files)]
    assert [line[: len(start)] for line, start in zip(told, expected, strict=True)] == expected


@pytest.mark.parametrize("path", ['"a\\0b"', "~nobody-of-that-name/a.json", "x" * 5000])
def test_what_cannot_be_a_path_is_told_and_no_crash(problems_of, path):
    (line,) = problems_of(action(path))
    assert line.startswith("streamer.yaml:5:13: unreadable: actions.a.schema: ")


def test_what_the_environment_filled_into_a_schema_is_not_shown(problems_of):
    (line,) = problems_of(action("{pattern: '${A}(', type: string, title: '${B}'}"), A="hidden-value", B="")
    assert line.startswith("streamer.yaml:5:23: bad-pattern: actions.a.schema.pattern: the regular expression '***('")
    assert line.endswith("(filled from ${A})")
    (line,) = problems_of(action("!x {type: ${A}}"), A="hidden-value")
    assert "yaml-feature" in line
    (line,) = problems_of(action("{type: '${A}${B}'}"), B="")
    assert "missing-variable" in line


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("^(?!x)", ": look-around could stall the service; write it without"),
        (r"(a)(?<=b)\1", ": look-around and a back-reference could stall the service; write it without"),
        (r"(?<n>a)\k<n>", ": a back-reference could"),
        ("(a", "; write it as in ECMA-262, without very large counts, and check its brackets and backslashes"),
        (r"\d{1,1000000}", "; write it as in ECMA-262"),
        ("(((a{1,100}){1,100}){1,100}){1,100}", "; write it as in ECMA-262"),
        (r"\p{Nonsense}", "; write it as in ECMA-262"),
    ],
)
def test_a_regular_expression_that_is_refused_says_why(problems_of, pattern, reason):
    (line,) = problems_of(action(f"{{pattern: '{pattern}'}}"))
    start = "streamer.yaml:5:23: bad-pattern: actions.a.schema.pattern: "
    assert line.startswith(f"{start}the regular expression '{pattern}' cannot be used{reason}")


def test_a_regular_expression_that_is_slow_says_so_at_its_own_place(problems_of):
    slow = "pattern: '(a{1,100}){1,100}b'"
    (line,) = problems_of(action(f"{{properties: {{a: {{{slow}}}, b: {{{slow}, maxLength: 200}}}}}}"))
    assert "bad-pattern: actions.a.schema.properties.a.pattern: the pattern '(a{1,100}){1,100}b' has nested" in line
    assert "add a maxLength of at most 256" in line


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", r"^(\w+\s?)*$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_regular_expression_that_backtracking_would_never_end_is_linear(validator_of, pattern):
    # With backtracking the first of them would take 2 to the power of 50,000 steps.
    validator = validator_of(action(f"{{pattern: '{pattern}'}}"))
    for letter in "ax":
        validator.is_valid(letter * 50_000 + "!")


@pytest.mark.parametrize("url", ["https://example.com/order.json", "HTTP://e.com/x", "s3://bucket/x.json"])
def test_a_schema_that_is_named_by_a_url_is_not_fetched(problems_of, url):
    assert problems_of(action(url)) == [
        (
            f"streamer.yaml:5:13: unreadable: actions.a.schema: {url}: streamer never downloads schemas; "
            "copy it to a local file and name that file"
        )
    ]


def test_a_file_that_two_actions_use_is_told_once(problems_of):
    text = action("s.json") + "  b:\n    handler: echo\n    result_schema: s.json\n"
    (line,) = problems_of(text, {"s.json": '{"type": 1}'})
    assert line.startswith(
        "s.json:1:10: bad-schema: actions.a.schema: not a JSON Schema: must be one of array, boolean"
    )


def test_a_file_that_is_not_there_is_told_at_each_place_that_names_it(problems_of):
    text = action("{anyOf: [{$ref: gone.json}, {$ref: gone.json}]}")
    assert [line.partition(": ")[0] for line in problems_of(text)] == ["streamer.yaml:5:29", "streamer.yaml:5:48"]


def test_a_schema_of_a_handler_is_told_at_the_handlers_name(problems_of):
    (line,) = problems_of("version: 1\nactions: {a: {handler: broken_schema}}\n")
    assert line.startswith("streamer.yaml:2:24: remote-reference: actions.a.handler: the schema of this handler")
    assert "at '#/properties/a/$ref': $ref 'other.json' is relative, but this schema is not in a file" in line


def test_a_schema_of_the_file_takes_the_place_of_the_handlers(settings_of):
    settings = settings_of("version: 1\nactions: {a: {handler: broken_schema, schema: true}}\n")
    assert settings.actions["a"].schema is True


def test_without_a_compiler_schemas_are_still_checked(tmp_path, discover):
    from streamer.config import load
    from streamer.core.errors import ConfigError

    path = tmp_path / "streamer.yaml"
    path.write_text(action("{type: objct, pattern: '['}"))
    with pytest.raises(ConfigError) as caught:
        load(path, discover=discover, environ={})
    assert [problem.code for problem in caught.value.problems] == ["bad-schema"]
    path.write_text(action("{type: object}"))
    assert load(path, discover=discover, environ={}).actions["a"].schema == {"type": "object"}


def test_nothing_is_opened_on_the_network(problems_of, monkeypatch):
    import socket

    def refuse(*_args, **_named):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    text = action("{anyOf: [{$ref: 'http://127.0.0.1:1/a.json'}, {$schema: 'http://127.0.0.1:1/s'}]}")
    assert "remote-reference" in problems_of(text)[0]


def test_an_id_that_makes_a_local_reference_remote_is_named_as_the_culprit(problems_of):
    (line,) = problems_of(action("s.json"), {"s.json": '{"$id": "https://e.com/s.json", "$ref": "t.json"}'})
    assert line.endswith("streamer never downloads schemas; without the $id it names a file next to this one")
