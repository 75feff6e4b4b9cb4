"""`streamer backend`, on each kind of thing that a backend keeps."""

from __future__ import annotations

import sqlite3

import pytest
from click.testing import CliRunner

from streamer.cli import exits
from streamer.cli.app import app
from streamer.stores.sqlite.schema import MIGRATIONS
from streamer.stores.sqlite.service_lock import ServiceLock

CLOUD = """
version: 1
service: {{name: cloud}}
backends:
  store: {{use: dynamodb, prefix: "cli-", region: eu-central-1, endpoint_url: "{url}"}}
actions:
  echo: {{handler: echo}}
"""
FILE = "version: 1\nbackends: {store: {use: sqlite, path: data.db}}\nactions: {echo: {handler: echo}}\n"
MEMORY = "version: 1\nbackends: {store: memory}\nactions: {echo: {handler: echo}}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, **more):
    return CliRunner().invoke(app, ["backend", *arguments], **more)


def earlier(path):
    """A file of the first version."""
    with sqlite3.connect(path) as database:
        database.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1")
        database.execute("PRAGMA application_id = " + str(0x53545231))
    database.close()


def test_tables_are_made_checked_and_deleted(folder, ministack):
    (folder / "streamer.yaml").write_text(CLOUD.format(url=ministack))
    missing = run("check")
    assert missing.exit_code == 1
    assert missing.stderr == "cli-requests: the table does not exist; 'streamer backend create' creates it\n"
    assert "does not exist; 'streamer backend create' creates it" in run("migrate").stderr
    assert run("create").output == "cli-requests: created\n"
    assert run("create").output == "cli-requests: already exists\n"
    assert run("migrate").output == "cli-requests is up to date\n"
    checked = run("check")
    assert (checked.exit_code, checked.output) == (0, "cli-requests is ready\n")
    kept = run("delete", input="n\n")
    assert kept.exit_code == exits.INTERRUPTED
    assert run("check").exit_code == 0
    assert run("delete", input="y\n").output.endswith("cli-requests: deleted\n")
    assert run("delete", "--yes").output == "cli-requests: did not exist\n"


def test_a_database_file_is_made_checked_and_deleted(folder):
    (folder / "streamer.yaml").write_text(FILE)
    path = (folder / "data.db").resolve()
    missing = run("check")
    assert missing.exit_code == 1
    assert missing.stderr.startswith(f"{path}: it does not exist; 'streamer backend create' creates it")
    assert "does not exist; 'streamer backend create' creates it" in run("migrate").stderr
    assert run("create").output == f"{path}: created\n"
    assert run("create").output == f"{path}: already exists\n"
    assert run("check").output == f"{path} is ready\n"
    assert run("migrate").output == f"{path} is up to date\n"
    assert run("delete", "--yes").output == f"{path}: deleted\n"
    assert [one.name for one in folder.iterdir()] == ["streamer.yaml"]
    assert run("delete", "--yes").output == f"{path}: did not exist\n"


def test_a_file_of_an_earlier_version_is_upgraded(folder):
    (folder / "streamer.yaml").write_text(FILE)
    earlier(folder / "data.db")
    checked = run("check")
    assert checked.exit_code == 1
    assert "its schema is 1, and this version uses" in checked.stderr
    assert "'streamer backend migrate' upgrades it" in checked.stderr
    assert f"its schema was 1 and is {len(MIGRATIONS)} now" in run("migrate").output
    assert run("check").exit_code == 0


def test_a_file_of_a_newer_version_is_left_alone(folder):
    (folder / "streamer.yaml").write_text(FILE)
    run("create")
    with sqlite3.connect(folder / "data.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert "its schema is 99" in run("check").stderr
    assert "was written by a newer version" in run("migrate").stderr


def test_a_file_of_another_program_is_neither_used_nor_deleted(folder):
    (folder / "streamer.yaml").write_text(FILE)
    (folder / "data.db").write_text("shopping list")
    for command in (["check"], ["delete", "--yes"]):
        result = run(*command)
        assert result.exit_code == 1
        assert "is not an SQLite file" in result.stderr
    assert (folder / "data.db").read_text() == "shopping list"


def test_a_file_that_a_service_has_is_not_deleted(folder, monkeypatch):
    monkeypatch.setattr("streamer.stores.sqlite.service_lock.LOCK_WAIT", 0.0)
    (folder / "streamer.yaml").write_text(FILE)
    run("create")
    lock = ServiceLock(folder / "data.db", 1234)
    try:
        result = run("delete", "--yes")
    finally:
        lock.close()
    assert result.exit_code == 1
    assert "is in use by another service (process 1234)" in result.stderr
    assert (folder / "data.db").exists()


def test_backends_that_keep_nothing_say_so(folder):
    (folder / "streamer.yaml").write_text(MEMORY)
    for arguments in (["create"], ["check"], ["migrate"], ["delete", "--yes"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "have no resources to create before a start" in result.stderr
