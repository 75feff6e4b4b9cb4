"""The effective settings as YAML: all defaults, no secrets, and readable again as the same."""

import dataclasses

import pytest

from streamer.config import dump
from streamer.config.redaction import hide, hide_options

TEXT = """\
version: 1
service: {name: "yes", async_threshold: 90s}
server: {max_message_size: 64KiB, allowed_origins: ['http://a'], tls: {cert: c.pem, key: k.pem}, idle_timeout: 1h}
plugins: {allow: [acme-auth]}
auth: {use: acme.jwt}
middleware: [access_log, {use: limit, rate: 5/1s}]
actions:
  one:
    handler: report
    with: {data: "1e-8", rows: 5, page: {margin: 1.5}, headers: {}}
    description: "two\\nlines with $${braces}"
    estimated_duration: 1500ms
    timeout: 1h
    schema: schemas/a.json
    result_schema: {const: "1:30", enum: ["007", "null", "", "0o7", "2026-01-01", "é", " x", "#"]}
  two: {handler: report, with: {data: d}}
  three: {handler: echo, schema: b.json, retry: {jitter: 0}}
"""
FILES = {"schemas/a.json": '{"type": "object"}', "b.json": "true"}


def test_the_dump_reads_back_as_the_same_settings(settings_of):
    settings = settings_of(TEXT, FILES)
    again = settings_of(dump(settings), FILES)
    actions = {
        name: dataclasses.replace(action, schema_path=None, result_schema_path=None)
        for name, action in settings.actions.items()
    }
    assert dataclasses.replace(again, actions={}) == dataclasses.replace(settings, actions={})
    for name, action in again.actions.items():
        assert dataclasses.replace(action, schema_path=None, result_schema_path=None) == actions[name]


def test_it_shows_every_default_as_people_write_it(settings_of):
    text = dump(settings_of("version: 1\nactions: {a: {handler: echo}}\n"))
    for line in (
        "  async_threshold: 5s",
        "  max_message_size: 128KiB",
        "  result_ttl: 7d",
        "  idle_timeout: 0s",
        "    path: ./streamer.db",
        "    estimated_duration: 10ms",
        "    description: Send it back",
        "      max_attempts: 3",
        "middleware: []",
    ):
        assert f"\n{line}\n" in text
    assert "timeout: null" not in text


def test_schemas_of_files_are_named_and_others_written_out(settings_of):
    text = dump(settings_of(TEXT, FILES))
    assert "    schema: schemas/a.json\n" in text
    assert "    schema: b.json\n" in text
    assert "      required:\n      - year\n" in text


def test_a_value_that_stands_in_many_places_is_written_out_in_each(settings_of):
    text = "version: 1\nactions: {a: &a {handler: echo, schema: {enum: [1]}}, b: *a}\n"
    assert "&" not in dump(settings_of(text))


def test_secrets_are_hidden_in_their_places_and_wherever_they_are_repeated(settings_of):
    settings = settings_of(
        """\
version: 1
service: {name: 'shop ${TOKEN}'}
actions:
  a:
    handler: report
    description: starts with ${TOKEN} and 1
    with: {data: '/srv/${TOKEN}/x', token: 't-${TOKEN}', pin: 1234, headers: {A: literal-header, B: '${SHORT}'}}
""",
        TOKEN="s3cret-token",
        SHORT="1",
    )
    text = dump(settings)
    for hidden in ("s3cret-token", "literal-header", "1234"):
        assert hidden not in text
    assert "name: shop ***" in text
    assert "data: /srv/***/x" in text
    assert "description: starts with *** and 1" in text
    assert "token: '***'" in text


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ("abc", "***"),
        ("xabcx", "x***x"),
        ("abcdef", "***"),
        (["abc", {"k": "abc"}], ["***", {"k": "***"}]),
        (("abc",), ["***"]),
        (5, 5),
        (None, None),
    ],
)
def test_the_longer_secret_is_hidden_first(value, hidden):
    assert hide(value, {"abc", "abcdef"}) == hidden


def test_options_are_hidden_by_their_schema_and_by_what_is_known():
    schema = {
        "properties": {"key": {"writeOnly": True}, "list": {"items": {"properties": {"p": {"writeOnly": True}}}}},
    }
    options = {"key": 5, "list": [{"p": "x", "q": "has token"}, {"p": ["a", "b"]}], "open": "o"}
    assert hide_options(options, schema, {"token"}) == {
        "key": "***",
        "list": [{"p": "***", "q": "has ***"}, {"p": ["***", "***"]}],
        "open": "o",
    }
