"""The database's files: private, and watched while they are open."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from streamer.core.errors import StoreUnavailable
from streamer.stores.sqlite import SqliteStore, writer
from streamer.stores.sqlite.database import open_database
from streamer.stores.sqlite.files import make_private
from streamer.stores.sqlite.guard import LOOK_INTERVAL
from streamer.stores.sqlite.operations import NUMBERS
from streamer.stores.sqlite.rows import to_new_row
from streamer.stores.sqlite.service_lock import ServiceLock
from streamer.stores.sqlite.state import State
from streamer.stores.sqlite.writer import BROKEN, DONE, TROUBLE, apply, guard_of
from streamer.testing.conformance import record

SIDES = ("", "-wal", "-shm")


def modes(path):
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.service
@pytest.mark.usefixtures("open_umask")
class TestModes:
    async def test_all_files_of_a_new_database_are_their_owners_alone_whatever_the_umask(self, path, clock):
        store = await SqliteStore.open(path, clock=clock)
        await store.enqueue(record(clock))
        operator = await SqliteStore.open(path, clock=clock, operator=True)
        found = modes(path)
        await operator.close()
        await store.close()
        assert found == dict.fromkeys(("queue.db", "queue.db-wal", "queue.db-shm", "queue.db.lock"), 0o600)

    async def test_those_of_an_earlier_version_become_so_and_the_log_says_it(self, path, clock):
        store = await SqliteStore.open(path, clock=clock)
        await store.enqueue(record(clock))
        for end in (*SIDES, ".lock"):
            Path(f"{path}{end}").chmod(0o644)
        await store.close()
        lines = []
        store = await SqliteStore.open(path, clock=clock, warn=lines.append)
        assert set(modes(path).values()) == {0o600}
        await store.close()
        assert f"{path} could be read by others (mode 0644); its mode is 0600 now" in lines

    async def test_it_needs_nobody_who_hears_of_it(self, path, clock):
        path.touch(0o666)
        store = await SqliteStore.open(path, clock=clock)
        await store.close()
        assert set(modes(path).values()) == {0o600}

    def test_one_that_is_somebody_elses_is_reported(self, path, monkeypatch):
        path.touch(0o644)

        def refuse(*_):
            raise PermissionError("not yours")

        monkeypatch.setattr(Path, "chmod", refuse)
        (line,) = make_private(path)
        assert "can be read by others (mode 0644), and its mode cannot be changed: not yours" in line

    def test_what_is_no_file_is_left_alone(self, tmp_path):
        assert make_private(tmp_path) == []


def enqueue(number, clock):
    return [number, NUMBERS["enqueue"], clock.now(), (to_new_row(record(clock, f"r{number}")), "")]


@pytest.fixture
def watched(path):
    """A writer's state over watched files, and the means to apply an enqueue to it."""
    lock = ServiceLock(path, 1)
    database = open_database(path, create=True)
    state = State(database, 1000)
    state.guard = guard_of(path, database, lock)
    yield state
    database.close()
    lock.close()


@pytest.fixture
def backup(path, tmp_path, clock, watched):
    """A copy made while the database is in use, before the newest request."""
    assert outcomes(apply(watched, [enqueue(1, clock)])) == [DONE]
    copy = tmp_path / "backup.db"
    with contextlib.closing(sqlite3.connect(copy)) as target:
        watched.database.backup(target)
    assert outcomes(apply(watched, [enqueue(2, clock)])) == [DONE]
    return copy


def outcomes(answers):
    return [outcome for _, outcome, _ in answers]


def remove(path, _backup):
    path.unlink()


def remove_all(path, _backup):
    for end in (*SIDES, ".lock"):
        Path(f"{path}{end}").unlink()


def remove_log(path, _backup):
    Path(f"{path}-wal").unlink()


def remove_index(path, _backup):
    Path(f"{path}-shm").unlink()


def move_away(path, _backup):
    path.rename(path.with_suffix(".old"))


def move_another_there(path, backup):
    backup.rename(path)


def write_over(path, backup):
    path.write_bytes(backup.read_bytes())


def cut_short(path, _backup):
    os.truncate(path, 0)


def empty_the_log(path, _backup):
    os.truncate(f"{path}-wal", 0)


def cut_the_log(path, _backup):
    os.truncate(f"{path}-wal", 1000)


def write_another_log(path, _backup):
    log = Path(f"{path}-wal")
    content = bytearray(log.read_bytes())
    content[16:24] = b"anothers"
    log.write_bytes(content)


def move_another_log_there(path, _backup):
    other = path.with_name("other-wal")
    other.write_bytes(Path(f"{path}-wal").read_bytes())
    other.rename(f"{path}-wal")


def cut_off_the_newest_of_the_log(path, _backup):
    log = Path(f"{path}-wal")
    os.truncate(log, log.stat().st_size - 100)


def move_the_folder(path, _backup):
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize(
    "damage",
    [
        remove, remove_all, remove_log, remove_index, move_away, move_another_there, write_over, cut_short,
        move_the_folder, empty_the_log, cut_the_log, cut_off_the_newest_of_the_log, write_another_log,
        move_another_log_there,
    ],
)  # fmt: skip
def test_nothing_is_acknowledged_once_the_file_is_not_what_was_opened(watched, path, backup, clock, damage):
    damage(path, backup)
    if damage in (remove_index, move_another_log_there):
        # Nothing is lost with it (what is in the log is put into the file), so the next whole look sees it, and not the
        # short ones in between.
        clock.jump(2 * LOOK_INTERVAL)
    answers = apply(watched, [enqueue(3, clock), enqueue(4, clock)])
    assert outcomes(answers) == [BROKEN, BROKEN, TROUBLE]
    assert "in use" in answers[0][2]
    assert answers[2][2] == answers[0][2]
    assert outcomes(apply(watched, [enqueue(5, clock)])) == [BROKEN], "said once"


@pytest.mark.parametrize("damage", [remove_log, move_another_log_there])
def test_what_is_in_a_log_that_was_deleted_or_replaced_is_put_into_the_file(watched, path, clock, damage):
    numbers = range(1, 6)
    for number in numbers:
        assert outcomes(apply(watched, [enqueue(number, clock)])) == [DONE]
    damage(path, None)
    clock.jump(2 * LOOK_INTERVAL)
    for _ in range(2):
        assert BROKEN in outcomes(apply(watched, [enqueue(7, clock)]))
    copy = path.with_name("after.db")
    copy.write_bytes(path.read_bytes())
    with contextlib.closing(sqlite3.connect(copy)) as found:
        assert {name for (name,) in found.execute("SELECT id FROM requests")} == {f"r{number}" for number in numbers}


@pytest.mark.parametrize("damage", [remove, move_another_there, write_over, empty_the_log])
def test_what_was_just_committed_to_a_file_that_is_gone_is_not_acknowledged(
    watched, path, backup, clock, damage, monkeypatch
):
    transaction = writer._transaction

    def late(state, operations, *, reading):
        answers = transaction(state, operations, reading=reading)
        damage(path, backup)
        return answers

    monkeypatch.setattr(writer, "_transaction", late)
    assert outcomes(apply(watched, [enqueue(3, clock)])) == [BROKEN, TROUBLE]


def test_it_goes_on_once_the_same_file_is_back(watched, path, clock):
    apply(watched, [enqueue(1, clock)])
    path.rename(path.with_suffix(".away"))
    assert outcomes(apply(watched, [enqueue(2, clock)])) == [BROKEN, TROUBLE]
    path.with_suffix(".away").rename(path)
    answers = apply(watched, [enqueue(2, clock)])
    assert outcomes(answers) == [DONE, TROUBLE]
    assert answers[1][2] is None


def test_a_copy_over_it_is_for_good(watched, path, backup, clock):
    write_over(path, backup)
    apply(watched, [enqueue(3, clock)])
    answers = apply(watched, [enqueue(4, clock)])
    assert "overwritten by another program" in answers[0][2]


def test_checkpoints_of_its_own_and_of_other_programs_are_no_damage(watched, path, clock):
    for number in range(1, 400):
        row = to_new_row(record(clock, f"r{number}", payload=b"x" * 20_000))
        assert outcomes(apply(watched, [[number, NUMBERS["enqueue"], clock.now(), (row, "")]])) == [DONE]
    for mode in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("UPDATE requests SET message = message || 'x'")
            other.execute(f"PRAGMA wal_checkpoint({mode})")
        assert outcomes(apply(watched, [enqueue(1000, clock)])) == [DONE]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("VACUUM")
    assert outcomes(apply(watched, [enqueue(1001, clock)])) == [DONE]


def test_a_backup_reads_it_and_is_no_damage(watched, backup, clock):
    assert outcomes(apply(watched, [enqueue(3, clock)])) == [DONE]


class TestADiskThatRefuses:
    def test_a_full_one_is_trouble_until_it_takes_writes_again(self, watched, clock):
        pages = watched.execute("PRAGMA page_count").fetchone()[0]
        watched.execute(f"PRAGMA max_page_count = {pages}")
        large = to_new_row(record(clock, "large", payload=b"x" * 100_000))
        answers = apply(watched, [[1, NUMBERS["enqueue"], clock.now(), (large, "")]])
        assert outcomes(answers) == [BROKEN, TROUBLE]
        assert "cannot be written (database or disk is full)" in answers[1][2]
        assert outcomes(apply(watched, [[2, NUMBERS["counts"], clock.now(), ()]])) == [DONE], "reading shows nothing"
        watched.execute("PRAGMA max_page_count = 100000")
        answers = apply(watched, [[3, NUMBERS["enqueue"], clock.now(), (large, "")]])
        assert answers == [(3, DONE, None), (0, TROUBLE, None)]

    def test_one_that_takes_nothing_at_all_is_not_taken_for_well_by_a_claim_of_nothing(self, watched, clock):
        claim = [1, NUMBERS["claim"], clock.now(), ("w", 1, 30.0, (None, None, None))]
        watched.execute("PRAGMA query_only = 1")
        assert outcomes(apply(watched, [enqueue(2, clock)])) == [BROKEN, TROUBLE]
        assert outcomes(apply(watched, [claim])) == [BROKEN]
        watched.execute("PRAGMA query_only = 0")
        assert outcomes(apply(watched, [claim])) == [DONE, TROUBLE]

    def test_a_damaged_file_is_written_no_more(self, watched, path, clock):
        problem = sqlite3.DatabaseError("malformed")
        problem.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        watched.guard.failed(problem)
        answers = apply(watched, [enqueue(1, clock)])
        assert outcomes(answers) == [BROKEN, TROUBLE]
        assert f"{path} is damaged (malformed)" in answers[1][2]

    def test_what_one_operation_raises_is_no_trouble_of_the_file(self, watched, clock):
        assert outcomes(apply(watched, [[1, NUMBERS["enqueue"], clock.now(), ("short",)]])) == [BROKEN]


def test_a_file_that_cannot_be_made_is_refused_with_the_folder(tmp_path):
    with pytest.raises(StoreUnavailable, match=r"the folder .*nowhere must exist"):
        open_database(tmp_path / "nowhere" / "queue.db", create=True)


async def test_a_store_reports_trouble_and_its_end_and_refuses_in_between(path, clock):
    told = []
    store = await SqliteStore.open(path, clock=clock, on_trouble=told.append)
    path.rename(path.with_suffix(".away"))
    with pytest.raises(StoreUnavailable, match="moved away"):
        await store.enqueue(record(clock))
    path.with_suffix(".away").rename(path)
    assert await store.enqueue(record(clock)) is None
    await store.close()
    assert "moved away" in told[0]
    assert told[1:] == [None]


async def test_a_store_in_trouble_leaves_the_files_of_another_alone_when_it_closes(path, clock, tmp_path):
    store = await SqliteStore.open(path, clock=clock)
    await store.enqueue(record(clock))
    for end in SIDES:
        Path(f"{path}{end}").unlink()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE kept (a)")
        shutil.copy(path, tmp_path / "copy.db")
        await store.close()
        assert Path(f"{path}-wal").exists()
        assert other.execute("SELECT count(*) FROM kept").fetchone() == (0,)
