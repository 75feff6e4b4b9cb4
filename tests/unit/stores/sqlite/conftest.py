from __future__ import annotations

import contextlib
import sqlite3
from textwrap import dedent

import pytest

from streamer.stores.sqlite import SqliteStore, writer_process
from streamer.testing import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "queue.db"


@pytest.fixture
async def store(path, clock):
    store = await SqliteStore.open(path, clock=clock)
    yield store
    await store.close()


@pytest.fixture
def rows(path):
    """Id and status of every request, read from the file beside the store."""

    def read():
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT id, status FROM requests").fetchall()

    return read


@pytest.fixture
def writer_program(tmp_path, monkeypatch):
    """Makes the text's function `main` the program of every writer from now on.

    It may call `starts()`, the number of writers so far, and `armed(step)`, true once for each `arm(step)` of the test.
    """
    armed = tmp_path / "armed"
    prelude = f"""
import os, signal
from pathlib import Path
from streamer.stores.sqlite import writer

def starts():
    with open({str(tmp_path / "starts")!r}, "a+") as file:
        file.write("x")
        return file.tell()

def armed(step):
    path = Path({str(armed)!r})
    if not path.exists() or path.read_text() != step:
        return False
    path.unlink()
    return True

def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""
    monkeypatch.syspath_prepend(tmp_path)

    def use(text):
        (tmp_path / "writer_of_a_test.py").write_text(prelude + dedent(text))
        monkeypatch.setattr(writer_process, "WRITER", "writer_of_a_test:main")
        return armed.write_text

    return use
