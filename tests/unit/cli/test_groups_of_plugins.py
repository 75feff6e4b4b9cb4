"""Groups whose commands are plugins': what they list, run, and say of a name that nobody brings."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from streamer.cli import config_file, exits
from streamer.cli.app import app
from streamer.contracts.components import Component, Kind
from streamer.plugins.registry import PluginInfo, Registry


@click.command(short_help="Writes tar")
def tar():
    click.echo("a tape")


OFFERED = (
    Component(kind=Kind.EXPORT, name="tar", factory=lambda _options, _context: tar, prefixed=False),
    Component(kind=Kind.EXPORT, name="broken", factory=lambda _options, _context: 7, namespace="acme"),
    Component(kind=Kind.COMMAND, name="seed", factory=lambda _options, _context: tar, namespace="acme"),
)


@pytest.fixture(autouse=True)
def installed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    registry = Registry.of([PluginInfo(name="acme", distribution="acme", version="1", components=OFFERED)])
    monkeypatch.setattr(config_file, "find_components", lambda _plugins: registry)


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_a_group_runs_what_a_plugin_brings():
    assert run("export", "tar").output == "a tape\n"
    assert run("acme.seed").output == "a tape\n"


def test_a_group_lists_what_plugins_bring(monkeypatch):
    registry = Registry.of([PluginInfo(name="acme", distribution="acme", version="1", components=OFFERED[:1])])
    monkeypatch.setattr(config_file, "find_components", lambda _plugins: registry)
    listed = run("export", "--help")
    assert listed.exit_code == 0
    assert "tar  Writes tar" in listed.output
    assert "Commands:" not in run("emulate", "--help").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "tra"], "unknown export 'tra' (did you mean 'tar'?); see"),
        (["export", "moon"], "unknown export 'moon'; see"),
        (["export", "sam"], 'it is a part of the plugin streamer-aws: pip install "streamer-router[aws]"; see'),
        (["emulate", "aws"], 'it is a part of the plugin streamer-aws: pip install "streamer-router[aws]"; see'),
        (["acme.sed"], "no such command: 'acme.sed'"),
    ],
)
def test_a_name_that_no_plugin_brings_is_a_usage_error(arguments, said):
    done = run(*arguments)
    assert done.exit_code == exits.USAGE
    assert said in done.stderr


@pytest.mark.parametrize(
    "named", [["--config", "other.yaml"], ["--config=other.yaml"], ["-c", "other.yaml"], ["-cother.yaml"]]
)
def test_the_file_that_the_command_names_says_which_plugins_load(tmp_path, monkeypatch, named):
    (tmp_path / "streamer.yaml").write_text("plugins: {block: [acme]}\n")
    (tmp_path / "other.yaml").write_text("plugins: {block: [others]}\n")
    asked = []
    whole = config_file.find_components
    monkeypatch.setattr(config_file, "find_components", lambda plugins: asked.append(plugins.block) or whole(plugins))
    run("export", "tar", *named)
    assert asked == [("others",)]
    asked.clear()
    run("export", "tar", "--config")
    assert run("export", "tar").output == "a tape\n"
    assert asked == [("acme",)] * 2


def test_what_is_no_command_is_the_plugins_fault():
    done = run("export", "acme.broken")
    assert done.exit_code == exits.FAILED
    assert "the export 'acme.broken' of streamer-router is of type int; it must be a click.Command" in done.stderr
