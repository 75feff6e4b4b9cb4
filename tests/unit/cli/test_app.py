"""The command line as a whole: its names, its help, how quickly it starts."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import streamer
from streamer.cli import exits
from streamer.cli.app import app


def every_command():
    context = click.Context(app, info_name="streamer")
    found = {"": app}
    for name in app.list_commands(context):
        found[name] = command = app.get_command(context, name)
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
    return found


COMMANDS = every_command()

FROZEN = {
    "": "--debug --version",
    "run": "--config --host --port --wait",
    "worker": "--action --config",
    "check": "--config --strict",
    "list": "--config --json --kind",
    "explain": "--config --json --wait ACTION",
    "config": "--config",
    "schema": "--config --output",
    "call": "--client-id --config --id --json --metadata --no-progress --no-reconnect --timeout --token --url --wait"
    " ACTION PAYLOAD",
    "requests": "",
    "requests list": "--action --config --json --limit --owner --status",
    "requests show": "--config --json --owner ID",
    "requests retry": "--config --json --owner ID",
    "requests cancel": "--config --json --message --owner ID",
    "backend": "",
    "backend check": "--config",
    "backend create": "--config",
    "backend migrate": "--config",
    "backend delete": "--config --yes",
    "export": "",
    "token": "--algorithm --config --expires --key --kid --new-key --permission --tenant --user",
    "emulate": "",
}
"""Scripts rely on these: a name may be added, but none may go or change within a major version."""


def test_command_names_and_options_are_those_that_scripts_rely_on():
    actual = {}
    for name, command in COMMANDS.items():
        names = []
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                names.append(parameter.metavar or parameter.name.upper())
            else:
                names.append(next(each for each in parameter.opts if each.startswith("--")))
        actual[name] = " ".join(sorted(names))
    assert actual == FROZEN


def test_environment_variables_are_those_that_scripts_rely_on():
    variables = {
        parameter.envvar
        for command in COMMANDS.values()
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.envvar
    }
    assert variables == {"STREAMER_CONFIG", "STREAMER_DEBUG", "STREAMER_CLIENT_ID", "STREAMER_TOKEN"}


def test_exit_statuses_are_those_that_scripts_rely_on():
    statuses = {name: value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert statuses == {
        "SUCCESS": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_CONNECTED": 3,
        "CONNECTION_LOST": 4,
        "TIMED_OUT": 5,
        "INVALID": 6,
        "UNKNOWN": 7,
        "BUSY": 8,
        "NOT_ALLOWED": 9,
        "CANCELLED": 10,
        "FAULT": 70,
        "INTERRUPTED": 130,
        "BROKEN_PIPE": 141,
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_by_example(name):
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == "Examples:")
    assert lines[start + 1].strip().startswith(f"streamer {name}".strip())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_is_for(name):
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


def test_the_help_of_call_lists_every_exit_status():
    text = CliRunner().invoke(app, ["call", "--help"]).output
    for status, meaning in exits.OF_A_CALL:
        assert f"{status:3}  {meaning}" in text


def test_the_short_helps_are_whole_sentences():
    listing = CliRunner().invoke(app, ["--help"]).output
    assert "..." not in listing.partition("Commands:")[2]


@pytest.mark.service
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["call", "--help"], ["requests", "list", "--help"]])
def test_help_is_quick_since_nothing_heavy_is_imported_for_it(arguments):
    heavy = [
        "jsonschema",
        "jsonschema_rs",
        "picows",
        "rich",
        "structlog",
        "aiohttp",
        "sqlite3",
        "uvloop",
        "yaml",
        "pluggy",
    ]
    program = (
        "import sys\n"
        "before = set(sys.modules)  # a coverage tool brings modules of its own\n"
        "from streamer.cli import main\n"
        "try:\n    main()\n"
        f"finally:\n    print('HEAVY', sorted({{*{heavy}}} & (set(sys.modules) - before)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "HEAVY []" in done.stderr


def test_the_module_and_the_command_say_the_version():
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"streamer {streamer.__version__}\n")
