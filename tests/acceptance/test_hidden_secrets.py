"""Secrets of the file, as an operator meets them: neither `streamer config` nor `streamer check` shows one."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from streamer.cli.app import app

SECRETS = {"API_TOKEN": "tok-4711-secret", "API_USER": "user-4711", "DATA": "/srv/data"}
FILE = """\
version: 1
service: {name: "shop of ${API_USER}"}
actions:
  quote:
    handler: http
    with:
      url: "https://api.example.com/quote?note=${API_TOKEN}"
      headers:
        Authorization: "Bearer ${API_TOKEN}"
        X-Literal: written-in-the-file
        X-Both: "${API_USER:-nobody}:${API_TOKEN}"
  again:
    handler: http
    description: "not the place for ${API_TOKEN}"
    with: {url: "http://localhost/", headers: {X-Data: plain}}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run_command(text, *arguments):
        Path("streamer.yaml").write_text(text)
        return CliRunner().invoke(app, [*arguments], env=SECRETS)

    return run_command


def test_the_settings_in_effect_show_no_secret_wherever_it_was_put(run):
    result = run(FILE, "config")
    assert result.exit_code == 0, result.output
    for secret in ("tok-4711-secret", "user-4711", "written-in-the-file", "plain"):
        assert secret not in result.output
    # What stood beside it is still to be read, and the defaults are there.
    assert "https://api.example.com/quote?note=***" in result.output
    assert "not the place for ***" in result.output
    assert "Authorization: '***'" in result.output
    assert "timeout: 30s" in result.output


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ("Authorization: ", "Authorization: [hush-hush, ", "quote.with.headers.Authorization"),
        ("X-Literal: written-in-the-file", "X-Literal: 47114711", "quote.with.headers.X-Literal"),
        ("https://api.example.com/quote?note=", "", "quote.with.url"),
        ("handler: http\n    with:\n", 'handler: "${API_TOKEN}"\n    with:\n', "quote.handler"),
        ("service: {name", 'service: {async_threshold: "${API_TOKEN}", name', "service.async_threshold"),
        ("service: {name", 'service: {max_depth: "${API_TOKEN}", name', "service.max_depth"),
        ("service: {name", 'logs: {level: "${API_TOKEN}"}\nservice: {name', "logs.level"),
        ("    handler: http\n    desc", '    handler: http\n    schema: "${API_TOKEN}.json"\n    desc', "again.schema"),
        (
            "    handler: http\n    desc",
            '    handler: http\n    schema: {type: "${API_TOKEN}"}\n    desc',
            "again.schema",
        ),
        (
            "    handler: http\n    desc",
            '    handler: http\n    schema: {$ref: "${API_TOKEN}.json"}\n    desc',
            "again.schema",
        ),
        (
            "    handler: http\n    desc",
            '    handler: http\n    schema: {pattern: "(${API_TOKEN}"}\n    desc',
            "again.schema",
        ),
        (
            "    handler: http\n    desc",
            '    handler: http\n    schema: {$schema: "${API_TOKEN}"}\n    desc',
            "again.schema",
        ),
        ("version: 1\n", 'version: 1\nplugins: {allow: ["${API_TOKEN}"]}\n', "plugins.allow[0]"),
        ("version: 1\n", 'version: "${API_TOKEN}"\n', "version"),
        ("version: 1\n", 'version: 1\nmiddleware: [{use: timeout, limit: "${API_TOKEN}"}]\n', "middleware[0].limit"),
        ("version: 1\n", 'version: 1\nauth: "${API_TOKEN}"\n', "auth"),
    ],
)
def test_no_problem_shows_a_secret(run, right, wrong, place):
    text = FILE.replace(right, wrong, 1)
    if "[hush" in wrong:
        text = text.replace('Bearer ${API_TOKEN}"', 'Bearer ${API_TOKEN}"]')
    assert text != FILE
    result = run(text, "check")
    assert result.exit_code == 1, result.output
    assert place in result.output
    for secret in ("4711", "hush-hush"):
        assert secret not in result.output
