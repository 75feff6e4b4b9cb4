"""Commands that plugins bring, and plugins that are broken. Each plugin is a real, if small, installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.service  # it starts commands

GOOD = """
    import click
    from streamer import Component, Kind, hookimpl

    @click.command(epilog="Examples")
    @click.argument("name")
    def seed(name):
        click.echo(f"seeded {name}")

    @hookimpl
    def streamer_commands():
        return [
            Component(kind=Kind.COMMAND, name="seed", factory=lambda options, context: seed, summary="Fills in"),
            Component(kind=Kind.COMMAND, name="odd", factory=lambda options, context: 5),
        ]
"""
STORES = """
    from contextlib import asynccontextmanager
    from streamer import Component, Kind, hookimpl
    from streamer.core.records import RequestRecord
    from streamer.stores.memory import MemoryStore

    RECORD = RequestRecord(owner="client:ann", id="r1", action="a", created_at=0.0, updated_at=0.0, due_at=0.0)

    class Shelf(MemoryStore):
        async def list(self, **filters):
            await self.enqueue(RECORD)
            return await super().list(**filters)

    def shelf(options, context):
        return Shelf()

    @asynccontextmanager
    async def drawer(options, context):
        yield Shelf()
        print("tidied up")

    @hookimpl
    def streamer_backends():
        return [
            Component(kind=Kind.STORE, name="shelf", factory=shelf, several_processes=True),
            Component(kind=Kind.STORE, name="safe", factory=shelf),
            Component(kind=Kind.STORE, name="drawer", factory=drawer, several_processes=True),
        ]
"""
CONFIG = """
version: 1
actions:
  echo: {handler: echo, estimated_duration: 10ms}
"""


@pytest.fixture
def streamer(tmp_path):
    """Runs the program in a folder of its own, with the plugins that were installed there."""
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "streamer.yaml").write_text(CONFIG)

    def install(name, source):
        (site / f"{name}_plugin.py").write_text(textwrap.dedent(source))
        info = site / f"{name}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[streamer]\n{name} = {name}_plugin\n")

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "streamer", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])},
        )

    run.install = install
    run.folder = tmp_path
    return run


def test_a_plugins_command_runs_under_its_full_name(streamer):
    streamer.install("acme", GOOD)
    done = streamer("acme.seed", "all")
    assert (done.returncode, done.stdout, done.stderr) == (0, "seeded all\n", "")


def test_a_plugins_command_has_its_help_and_its_usage_errors(streamer):
    streamer.install("acme", GOOD)
    helped = streamer("acme.seed", "--help")
    assert helped.returncode == 0
    assert helped.stdout.startswith("Usage: streamer acme.seed")
    wrong = streamer("acme.seed")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "streamer: Missing argument 'NAME'; see 'streamer acme.seed --help'\n",
    )


def test_list_names_the_commands_of_plugins(streamer):
    streamer.install("acme", GOOD)
    listed = json.loads(streamer("list", "--kind", "command", "--json").stdout)
    assert [(found["name"], found["distribution"], found["version"]) for found in listed["components"]] == [
        ("acme.odd", "acme", "1.5"),
        ("acme.seed", "acme", "1.5"),
    ]


def test_a_command_that_is_no_click_command_is_told_as_the_plugins_fault(streamer):
    streamer.install("acme", GOOD)
    odd = streamer("acme.odd")
    assert (odd.returncode, odd.stderr) == (
        1,
        "streamer: the command 'acme.odd' of acme is of type int; it must be a click.Command\n",
    )


def test_a_command_that_no_plugin_brings_is_a_usage_error(streamer):
    done = streamer("acme.seed")
    assert (done.returncode, done.stderr) == (2, "streamer: no such command: 'acme.seed'; see 'streamer --help'\n")


def test_a_blocked_plugin_brings_no_command_and_list_says_why(streamer):
    streamer.install("acme", GOOD.replace("import click", "import click; print('imported')"))
    (streamer.folder / "streamer.yaml").write_text("plugins: {block: [acme]}" + CONFIG)
    done = streamer("acme.seed", "all")
    assert (done.returncode, done.stdout) == (2, "")
    listed = streamer("list")
    assert listed.returncode == 0
    assert "imported" not in listed.stdout
    assert listed.stderr == "not loaded: acme of acme 1.5: named in plugins.block\n"


def test_a_broken_plugin_is_reported_by_check_and_breaks_no_other_help(streamer):
    streamer.install("acme", "raise RuntimeError('no licence')")
    checked = streamer("check")
    assert checked.returncode == 1
    assert "no licence" in checked.stdout
    assert "acme" in checked.stdout
    assert "Traceback" not in checked.stdout + checked.stderr
    for arguments in (["--help"], ["check", "--help"], ["call", "--help"]):
        assert streamer(*arguments).returncode == 0
    listed = streamer("list")
    assert listed.returncode == 1
    assert listed.stderr.startswith("streamer: plugin 'acme' of the distribution acme 1.5: ")


@pytest.mark.parametrize(("store", "said"), [("shelf", ""), ("drawer", "tidied up\n")])
def test_requests_are_read_from_a_plugins_store(streamer, store, said):
    streamer.install("acme", STORES)
    (streamer.folder / "streamer.yaml").write_text(f"{CONFIG}backends: {{store: {{use: acme.{store}}}}}\n")
    listed = streamer("requests", "list", "--json")
    assert (listed.returncode, listed.stderr) == (0, said)
    assert json.loads(listed.stdout)["id"] == "r1"


def test_a_store_that_declares_nothing_is_left_to_its_service(streamer):
    streamer.install("acme", STORES)
    (streamer.folder / "streamer.yaml").write_text(f"{CONFIG}backends: {{store: {{use: acme.safe}}}}\n")
    listed = streamer("requests", "list")
    assert listed.returncode == 1
    assert "the store 'acme.safe' belongs to the process of the service" in listed.stderr


FORMATS = """
    import click
    from streamer import Component, Kind, hookimpl

    @click.command(short_help="Writes tar")
    def tar():
        click.echo("a tape")

    @hookimpl
    def streamer_commands():
        return [
            Component(kind=Kind.EXPORT, name="tar", factory=lambda options, context: tar),
            Component(kind=Kind.EXPORT, name="cpio", factory=lambda options, context: tar, prefixed=False),
            Component(kind=Kind.EMULATOR, name="mainframe", factory=lambda options, context: 7),
        ]
"""


def test_plugins_bring_exports_and_emulators(streamer):
    streamer.install("acme", FORMATS)
    helped = streamer("export", "--help")
    assert helped.returncode == 0
    assert "acme.tar" in helped.stdout
    assert "Writes tar" in helped.stdout
    for name in ("acme.tar", "cpio"):
        done = streamer("export", name)
        assert (done.returncode, done.stdout, done.stderr) == (0, "a tape\n", "")
    odd = streamer("emulate", "acme.mainframe")
    assert odd.stderr == "streamer: the emulator 'acme.mainframe' of acme is of type int; it must be a click.Command\n"


def test_an_export_that_no_plugin_brings_is_a_usage_error(streamer):
    streamer.install("acme", FORMATS)
    near = streamer("export", "cpoi")
    assert near.returncode == 2
    assert "unknown export 'cpoi' (did you mean 'cpio'?)" in near.stderr
    assert "unknown emulator 'moon';" in streamer("emulate", "moon").stderr


def test_without_the_plugin_for_aws_its_commands_say_what_to_install(streamer):
    (streamer.folder / "streamer.yaml").write_text(f"plugins: {{block: [streamer-aws]}}{CONFIG}")
    for command in (["export", "sam"], ["emulate", "aws"]):
        done = streamer(*command)
        assert done.returncode == 2
        assert 'pip install "streamer-router[aws]"' in done.stderr
