"""In processes of their own: SQLite is configured for a whole process, before its first connection."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from streamer.stores.sqlite import single_thread

LOCKS = """
import ctypes, _sqlite3, sqlite3
from streamer.stores.sqlite.single_thread import use_no_locks
assert use_no_locks()
connection = sqlite3.connect(":memory:")
library = ctypes.CDLL(_sqlite3.__file__)
library.sqlite3_db_mutex.restype = ctypes.c_void_p
library.sqlite3_memory_used.restype = ctypes.c_int64
# The handle is the first member of Python's object (after its two).
handle = ctypes.c_void_p.from_address(id(connection) + 2 * ctypes.sizeof(ctypes.c_void_p)).value
library.sqlite3_db_mutex.argtypes = [ctypes.c_void_p]
print(library.sqlite3_db_mutex(handle), library.sqlite3_memory_used())
"""


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_connection_of_the_writer_has_no_lock_and_memory_is_not_counted():
    assert run(LOCKS) == "None 0"


def test_a_usual_connection_has_a_lock():
    assert run(LOCKS.replace("assert use_no_locks()", "")).split()[0] != "None"


def test_a_library_that_hides_its_functions_is_used_as_it_is(monkeypatch):
    monkeypatch.setattr(single_thread.ctypes, "CDLL", lambda _: object())
    assert not single_thread.use_no_locks()


@pytest.fixture
def collector():
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_what_was_loaded_is_not_collected_again():
    single_thread.collect_rarely()
    assert gc.get_freeze_count()
    assert gc.get_threshold()[0] == 20_000
