"""What the plugin for AWS offers, and what is said where it is not installed."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from streamer.cli.app import app
from streamer.config import load
from streamer.config.settings import PluginSettings
from streamer.contracts import extras
from streamer.core.errors import ConfigError
from streamer.engine.validation import Validator
from streamer.plugins.manager import discover
from streamer.runtime import builtins
from streamer_aws import plugin

FILE = """
version: 1
{}
auth: {{use: none, allow_anyone: true}}
backends: {{store: {{use: dynamodb}}, connections: {{use: apigateway}}}}
"""


def offered():
    return [*plugin.streamer_backends(), *plugin.streamer_commands()]


def test_all_that_it_offers_is_known_to_those_who_miss_it():
    assert {(one.kind, one.name) for one in offered()} == set(extras._EXTRAS)
    assert all(extras.how_to_install(one.kind, one.name) for one in offered())


def test_its_names_have_no_prefix_for_files_are_older_than_the_plugin():
    registry = discover(PluginSettings(), builtins=[builtins])
    for one in offered():
        found = registry.get(one.kind, one.name)
        assert (found.namespace, found.distribution) == ("aws", "streamer-aws")


@pytest.mark.parametrize(
    ("section", "more"), [("", ""), ("plugins: {block: [streamer-aws]}", ", and allow it in 'plugins'")]
)
def test_a_file_that_needs_it_says_what_to_install(tmp_path, section, more):
    path = tmp_path / "streamer.yaml"
    path.write_text(FILE.format(section))

    def without_it(_plugins):
        return discover(PluginSettings(block=("streamer-aws",)), builtins=[builtins])

    with pytest.raises(ConfigError) as caught:
        load(path, discover=without_it, environ={}, compile_schema=Validator)
    told = [str(one) for one in caught.value.problems]
    assert len(told) == 2
    for line in told:
        assert line.endswith(f'it is a part of the plugin streamer-aws: pip install "streamer-router[aws]"{more}')


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("export sam", "--config --include --output --package --python --wake"),
        ("emulate aws", "--config --endpoint-url --limit --port --processes --region --sandboxes --stage --wake"),
    ],
)
def test_its_commands_are_those_that_scripts_rely_on_and_teach_by_example(name, options):
    context = click.Context(app, info_name="streamer")
    group, inner = name.split()
    command = app.get_command(context, group).get_command(context, inner)
    named = [next(each for each in one.opts if each.startswith("--")) for one in command.params]
    assert " ".join(sorted(named)) == options
    helped = CliRunner().invoke(app, [group, inner, "--help"])
    lines = [line.strip() for line in helped.output.splitlines()]
    assert lines[lines.index("Examples:") + 1].startswith(f"streamer {name}")
