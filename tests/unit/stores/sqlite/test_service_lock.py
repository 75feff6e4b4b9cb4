"""One service to a file, whatever becomes of `.lock`."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from streamer.core.errors import StoreInUse, StoreUnavailable
from streamer.stores.sqlite import service_lock
from streamer.stores.sqlite.service_lock import ServiceLock


def lock_of(path):
    return Path(f"{path}.lock")


def test_a_second_holder_is_told_in_one_line_who_has_it(path):
    held = ServiceLock(path, 4711)
    with pytest.raises(StoreInUse) as refused:
        ServiceLock(path, 1, wait=0.05)
    held.close()
    assert str(path) in str(refused.value)
    assert "(process 4711)" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_holder_that_is_not_known_yet_is_not_made_up(path):
    held = ServiceLock(path, 4711)
    os.truncate(lock_of(path), 0)
    with pytest.raises(StoreInUse, match="in use by another service: stop it"):
        ServiceLock(path, 1, wait=0.0)
    held.close()


def test_a_lock_that_is_given_back_can_be_taken(path):
    ServiceLock(path, 4711).close()
    held = ServiceLock(path, 42, wait=0.0)
    assert lock_of(path).read_bytes() == b"42"
    held.close()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"the folder .*nowhere must exist"):
        ServiceLock(tmp_path / "nowhere" / "queue.db", 1)


def test_a_second_service_is_refused_after_the_lock_file_was_deleted(path):
    held = ServiceLock(path, 4711)
    lock_of(path).unlink()
    with pytest.raises(StoreInUse, match="in use by another service"):
        ServiceLock(path, 1, wait=0.0)
    assert held.problem() is None
    held.close()


@pytest.mark.parametrize("replace", [False, True])
def test_a_lock_file_that_was_deleted_or_replaced_is_made_anew(path, replace):
    held = ServiceLock(path, 4711)
    assert held.problem() is None
    lock_of(path).unlink()
    if replace:
        lock_of(path).write_text("somebody")
    assert held.problem() is None
    assert lock_of(path).read_bytes() == b"4711"
    descriptor = os.open(lock_of(path), os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    held.close()


def test_a_service_whose_deleted_lock_another_one_has_taken_stops(path):
    held = ServiceLock(path, 4711)
    lock_of(path).unlink()
    other = os.open(lock_of(path), os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)
    assert "another service has opened the file since" in held.problem()
    os.close(other)
    held.close()


def test_a_folder_that_is_gone_is_a_problem_of_the_lock(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    held = ServiceLock(folder / "queue.db", 4711)
    folder.rename(tmp_path / "elsewhere")
    assert "cannot be opened" in held.problem()
    held.close()


@pytest.mark.parametrize("number", [None, "refused"])
def test_where_files_cannot_be_locked_so_the_lock_file_alone_says_who_has_it(path, monkeypatch, number):
    monkeypatch.setattr(service_lock, "_OPEN_FILE_LOCK", number)
    if number is not None:

        def refuse(*_):
            raise OSError(errno.EINVAL, "not here")

        monkeypatch.setattr(service_lock.fcntl, "fcntl", refuse)
    held = ServiceLock(path, 4711)
    with pytest.raises(StoreInUse):
        ServiceLock(path, 1, wait=0.0)
    held.close()


def test_another_failure_of_a_lock_is_no_answer(path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(service_lock.fcntl, "flock", fail)
    with pytest.raises(OSError, match="broken"):
        ServiceLock(path, 1, wait=0.0)
