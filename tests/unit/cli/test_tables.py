"""`streamer tables` against an emulator."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from streamer.cli import exits
from streamer.cli.app import app

CONFIG = """
version: 1
service: {{name: cloud}}
backends:
  store: {{use: dynamodb, prefix: "cli-", region: eu-central-1, endpoint_url: "{url}"}}
actions:
  echo: {{handler: echo}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, **more):
    return CliRunner().invoke(app, ["tables", *arguments], **more)


def test_tables_are_made_checked_and_deleted(folder, ministack):
    (folder / "streamer.yaml").write_text(CONFIG.format(url=ministack))
    missing = run("check")
    assert missing.exit_code == 1
    assert missing.stderr == "cli-requests: it is not there; 'streamer tables create' makes it\n"
    assert run("create").output == "cli-requests is made\n"
    assert run("create").output == "cli-requests is there already\n"
    checked = run("check")
    assert (checked.exit_code, checked.output) == (0, "cli-requests is as it must be\n")
    kept = run("delete", input="n\n")
    assert kept.exit_code == exits.INTERRUPTED
    assert run("check").exit_code == 0
    assert run("delete", input="y\n").output.endswith("cli-requests is deleted\n")
    assert run("delete", "--yes").output == "cli-requests was not there\n"


def test_a_service_with_another_store_needs_none(folder):
    (folder / "streamer.yaml").write_text("version: 1\nactions: {echo: {handler: echo}}\n")
    for arguments in (["create"], ["check"], ["delete", "--yes"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "needs no tables" in result.stderr
