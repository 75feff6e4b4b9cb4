"""What is known about times without the file, and the claims that are answered from that alone."""

from __future__ import annotations

import contextlib
import sqlite3

import msgspec
import pytest

from streamer.core.messages import ErrorBody
from streamer.stores.sqlite import due_times
from streamer.stores.sqlite.database import open_database
from streamer.stores.sqlite.operations import NUMBERS
from streamer.stores.sqlite.rows import to_new_row
from streamer.stores.sqlite.state import State
from streamer.stores.sqlite.write_queries import complete
from streamer.stores.sqlite.writer import DONE, apply
from streamer.testing.conformance import record

NO_LIMITS = (None, None, None)
LEASE = 30.0
BUSY = msgspec.json.encode(ErrorBody("BUSY", "later"))


@pytest.fixture
def state(path):
    with contextlib.closing(open_database(path, create=True)) as connection:
        yield State(connection, 100)


@pytest.fixture
def do(state, clock):
    """Applies one operation; returns its value."""
    numbers = iter(range(1, 1000))

    def do(name, *arguments):
        ((_, outcome, value),) = apply(state, [[next(numbers), NUMBERS[name], clock.now(), list(arguments)]])
        assert outcome == DONE, value
        return value

    return do


@pytest.fixture
def claim(do):
    """Claims up to so many; returns the ids taken, the ids ended and when the next is due."""

    def claim(limit=5):
        taken, ended, next_due, *_ = do("claim", "w", limit, LEASE, NO_LIMITS)
        return [row[1] for row in taken], [row[1] for row in ended], next_due

    return claim


@pytest.fixture
def transactions(state, monkeypatch):
    """The transactions that begin from now on."""
    begun = []
    change = state.change

    def watched(statement, *values):
        if statement.startswith("BEGIN"):
            begun.append(statement)
        return change(statement, *values)

    monkeypatch.setattr(state, "change", watched)
    return begun


@pytest.fixture
def running(do, claim, clock):
    """One request runs, and a claim after it has found nothing."""
    do("enqueue", to_new_row(record(clock)), "")
    assert claim() == (["r1"], [], clock.now() + LEASE)
    assert claim() == ([], [], clock.now() + LEASE)


@pytest.mark.usefixtures("running")
class TestAClaimThatFindsNothing:
    def test_takes_no_transaction(self, claim, clock, transactions):
        assert claim() == ([], [], clock.now() + LEASE)
        assert transactions == []

    def test_takes_one_where_there_may_be_something(self, do, claim, clock, transactions):
        do("enqueue", to_new_row(record(clock, "r2")), "")
        del transactions[:]
        assert claim(0) == ([], [], clock.now()), "nothing is wanted, and something is due"
        assert transactions == []
        assert claim() == (["r2"], [], clock.now() + LEASE)

    def test_sees_what_another_process_wrote(self, do, claim, path, clock):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("UPDATE requests SET due_at = ?", (clock.now() + 7,))
        *_, changed_externally, keys = do("claim", "w", 5, LEASE, NO_LIMITS)
        assert (changed_externally, keys) == (True, None)
        assert claim() == ([], [], clock.now() + 7)

    async def test_is_none_once_a_lease_has_ended(self, claim, clock):
        await clock.advance(LEASE)
        assert claim() == (["r1"], [], clock.now() + LEASE)

    async def test_is_none_once_a_retry_is_due(self, do, claim, clock):
        do("fail", ["client:one", "r1", 1], 1, BUSY, clock.now() + 5)
        assert claim() == ([], [], clock.now() + 5)
        await clock.advance(5)
        assert claim() == (["r1"], [], clock.now() + LEASE)

    async def test_is_none_once_something_that_waits_has_expired(self, do, claim, clock):
        do("enqueue", to_new_row(record(clock, "r2", expires_at=clock.now() + 3)), "")
        await clock.advance(3)
        assert claim(0) == ([], ["r2"], clock.now() + LEASE - 3)

    async def test_is_none_once_what_was_given_back_has_expired(self, do, claim, clock):
        do("enqueue", to_new_row(record(clock, "r2", expires_at=clock.now() + 3)), "")
        claim()
        await clock.advance(2)
        do("release", [["client:one", "r2", 1]])
        await clock.advance(1)
        assert claim(0) == ([], ["r2"], clock.now() + LEASE - 3)

    def test_is_none_after_the_clock_was_put_back(self, claim, clock):
        clock.jump(-3600)
        assert claim() == ([], [], clock.now() + LEASE)

    def test_knows_of_a_lease_that_was_renewed_and_of_one_that_was_given_up(self, do, claim, clock):
        do("renew", [["client:one", "r1", 1]], 60.0)
        assert claim() == ([], [], clock.now() + 60)
        do("complete", ["client:one", "r1", 1], 1, b"1")
        assert claim() == ([], [], None)

    def test_goes_to_the_file_where_that_cannot_be_asked(self, state, claim, clock, monkeypatch, transactions):
        def broken():
            raise sqlite3.OperationalError("locked")

        monkeypatch.setattr(state, "up_to_date", broken)
        assert claim() == ([], [], clock.now() + LEASE)
        assert len(transactions) == 1

    def test_goes_to_the_file_while_that_takes_no_writes(self, state, claim, clock, transactions):
        state.guard.trouble = "the disk is full"
        claim()
        assert len(transactions) == 1


def test_a_kind_that_was_dropped_in_a_transaction_that_failed_comes_back(state, do, claim, clock):
    do("enqueue", to_new_row(record(clock)), "")
    claim()
    state.change("BEGIN IMMEDIATE")
    state.begin()
    complete(state, 100, False, clock.now(), ["client:one", "r1", 1], 1, b"1")
    assert state.times.read() == {}
    assert state.times.kinds == set()
    state.undo()
    state.change("ROLLBACK")
    assert state.times.kinds == {("work", 0)}
    assert state.times.read() == {("work", 0): (None, clock.now() + LEASE)}


def test_times_are_found_by_an_index(state):
    def searches(query, values=()):
        plan = [row[3] for row in state.execute(f"EXPLAIN QUERY PLAN {query}", values)]
        return [line for line in plan if "requests" in line]

    timed = "requests_timed (action=? AND priority=? AND status=? AND waiting=? AND due_at>?)"
    assert searches(due_times._NEXT, ("a", 0)) == [f"SEARCH requests USING COVERING INDEX {timed}"] * 2
    (expiry,) = searches(due_times._NEXT_EXPIRY)
    assert "USING INDEX requests_expiring (expires_at>?)" in expiry
