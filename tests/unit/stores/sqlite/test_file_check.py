"""Whether a file can be a service's database is known without opening it."""

from __future__ import annotations

import os
import sqlite3

import pytest

from streamer.contracts.components import BuildContext
from streamer.core.errors import StartError
from streamer.stores.sqlite import SqliteStore
from streamer.stores.sqlite.file_check import problems


def messages(path):
    return [problem.message for problem in problems({"path": str(path)}, BuildContext(base_dir=path.parent))]


async def test_a_file_of_our_own_and_one_that_is_not_there_are_right(tmp_path):
    path = tmp_path / "service.db"
    assert messages(path) == []
    store = await SqliteStore.open(path)
    try:
        assert messages(path) == []
    finally:
        await store.close()
    assert messages(path) == []
    (tmp_path / "empty.db").touch()
    assert messages(tmp_path / "empty.db") == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    [message] = messages(tmp_path / "none" / "service.db")
    assert f"the folder {tmp_path / 'none'}" in message
    [message] = messages(tmp_path)
    assert "is not a file" in message


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("remember the milk")
    [message] = messages(tmp_path / "notes.txt")
    assert "is not an SQLite file" in message
    database = sqlite3.connect(tmp_path / "other.db")
    database.execute("PRAGMA application_id = 7")
    database.execute("CREATE TABLE a (b)")
    database.commit()
    database.close()
    [message] = messages(tmp_path / "other.db")
    assert "belongs to another program" in message


@pytest.mark.parametrize(("refused", "says"), [(os.W_OK | os.X_OK, "is not writable"), (os.R_OK | os.W_OK, "may not")])
def test_what_this_user_may_not_do_is_said(tmp_path, monkeypatch, refused, says):
    path = tmp_path / "service.db"
    path.touch()
    # The superuser, whom tests may run as, may do everything.
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != refused)
    [message] = messages(path)
    assert says in message


def test_a_path_with_a_null_character_is_no_path(tmp_path):
    context = BuildContext(base_dir=tmp_path)
    [problem] = problems({"path": "a\0b"}, context)
    assert "null character" in problem.message
    with pytest.raises(StartError, match="null character"):
        context.path("a\0b")
