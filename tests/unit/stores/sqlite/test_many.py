"""Where more waits than is kept in memory: turns and counts are read from the file, and keep every promise."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from streamer.core.principal import Principal
from streamer.core.records import ADDRESS_SHARE
from streamer.queue.fairness import Capacity, FairKey
from streamer.stores.sqlite import SqliteStore, backlog, counts, wheel, writer_process
from streamer.stores.sqlite.counts import Counts
from streamer.stores.sqlite.database import open_database
from streamer.stores.sqlite.operations import NUMBERS
from streamer.stores.sqlite.rows import to_new_row
from streamer.stores.sqlite.state import State
from streamer.stores.sqlite.writer import BROKEN, DONE, apply
from streamer.testing import store_machine
from streamer.testing.conformance import record
from streamer.testing.conformance.claims import Claims
from streamer.testing.conformance.fairness import Fairness

NO_LIMITS = (None, None, None)


@pytest.fixture
def _many(monkeypatch):
    monkeypatch.setattr(writer_process, "WRITER", "unit.stores.sqlite.writer_of_many:main")


@pytest.mark.service
@pytest.mark.usefixtures("_many")
class TestPromises(Claims, Fairness):
    """The parts of the suite that have to do with turns and limits. The property test below does all the rest."""

    @pytest.fixture
    async def store(self, clock, path):
        store = await SqliteStore.open(path, clock=clock, max_queued=self.max_queued)
        yield store
        await store.close()


async def open_many(clock):
    folder = Path(tempfile.mkdtemp(prefix="streamer-property-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_process, "WRITER", "unit.stores.sqlite.writer_of_many:main")
        store = await SqliteStore.open(folder / "queue.db", clock=clock)
    closing = store.close

    async def close():
        await closing()
        shutil.rmtree(folder)

    store.close = close
    return store


TestProperty = store_machine(open_many).TestCase
TestProperty.settings = settings(
    max_examples=5,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
TestProperty.pytestmark = [pytest.mark.service]


@pytest.fixture
def database(path):
    with contextlib.closing(open_database(path, create=True)) as connection:
        yield connection


@pytest.fixture
def state(database, monkeypatch):
    monkeypatch.setattr(backlog, "MANY", 10)
    return State(database, 40, max_queued_per_owner=6, max_queued_per_address=8)


@pytest.fixture
def do(clock):
    numbers = iter(range(1, 10_000))

    def do(state, name, *arguments):
        ((_, outcome, value),) = apply(state, [[next(numbers), NUMBERS[name], clock.now(), list(arguments)]])
        assert outcome == DONE, value
        return value

    return do


@pytest.fixture
def enqueue(do, clock):
    def enqueue(state, owner, name="r", **fields):
        given = record(clock, name, owner=owner, **fields)
        return do(state, "enqueue", to_new_row(given), given.share)

    return enqueue


@pytest.fixture
def claim(do):
    def claim(state, limit, limits=NO_LIMITS):
        return [row[0] for row in do(state, "claim", "w", limit, 30.0, limits)[0]]

    return claim


def of_tenant(tenant, user):
    principal = Principal(user_id=user, tenant_id=tenant)
    return {"owner": principal.owner, "principal": principal}


def test_lines_leave_memory_when_many_wait_and_come_back_when_few_do(state, enqueue, claim):
    for n in range(10):
        enqueue(state, f"o{n}")
    assert not state.many
    enqueue(state, "o10")
    assert state.many
    assert claim(state, 2) == ["o0", "o1"]
    assert state.many
    assert claim(state, 5) == ["o10", "o2", "o3", "o4", "o5"], "in the order of names, where the last turn was"
    assert state.queued == 4
    assert claim(state, 1) == ["o6"]
    assert not state.many
    assert (state.queued, set(state.owners.held)) == (3, {"o7", "o8", "o9"})
    assert claim(state, 5) == ["o7", "o8", "o9"]


def test_turns_go_round_where_the_last_claim_ended_and_each_owner_has_one_in_a_round(state, enqueue, claim):
    for owner in "abc":
        for n in range(5):
            enqueue(state, owner, f"r{n}")
    state.recount()
    assert state.many
    assert "".join(owner for _ in range(5) for owner in claim(state, 2)) == "abcabcabca"


def test_tenants_without_room_are_passed_over_and_looked_at_once(state, enqueue, claim):
    for tenant in "tuvw":
        for n in range(3):
            enqueue(state, name=f"r{n}", **of_tenant(tenant, "x"))
    state.recount()
    assert state.many
    limits = (None, 1, {"t": 1, "v": 1})
    assert claim(state, 9, limits) == ["principal:u/x", "principal:w/x"]
    assert claim(state, 9, limits) == ["principal:u/x", "principal:w/x"]
    assert not state.fits(Capacity(None, 1, dict.fromkeys("tuvw", 1)))
    assert claim(state, 1) == ["principal:t/x"]


def test_what_lost_its_worker_goes_first_as_far_as_there_is_room(state, enqueue, claim, clock):
    for n in range(14):
        enqueue(state, f"o{n:02}")
    assert claim(state, 2) == ["o00", "o01"]
    clock.jump(30)
    assert claim(state, 3, (None, None, None, 1)) == ["o00", "o02", "o03"]
    assert claim(state, 2) == ["o01", "o04"]
    assert state.queued == 9


def test_the_first_of_the_names_may_be_the_one_without_room(state, enqueue, claim):
    for n in range(12):
        enqueue(state, **of_tenant(f"t{n:02}", "x"))
    state.recount()
    assert claim(state, 1, (None, 1, {"t00": 1})) == ["principal:t01/x"]


def test_an_owner_and_an_address_are_counted_in_the_file_when_they_come(state, enqueue, do, clock):
    for n in range(6):
        enqueue(state, "greedy", f"r{n}", address="block")
    for n in range(2):
        enqueue(state, f"o{n}", address="block")
    for n in range(5):
        enqueue(state, f"p{n}")
    state.recount()
    assert state.many
    assert state.queued == 13
    assert state.owners.held == {}
    assert enqueue(state, "greedy", "more") == "full for its owner"
    assert enqueue(state, "another", address="block") == "full for its address"
    do(state, "cancel", "greedy", "r1", "enough")
    assert enqueue(state, "greedy", "more", address="block") is None
    assert enqueue(state, "greedy", "even more", address="block") == "full for its owner"
    assert (state.owners.of("greedy"), state.shares.of(f"{ADDRESS_SHARE}block")) == (6, 8)


def test_a_retry_counts_for_its_owner_and_takes_its_turn(state, enqueue, do, claim, clock):
    for n in range(6):
        enqueue(state, "o", f"r{n}")
    for n in range(8):
        enqueue(state, f"p{n}")
    state.recount()
    (row,) = do(state, "claim", "w", 1, 30.0, NO_LIMITS)[0]
    do(state, "fail", ["o", row[1], 1], 1, b'{"code":"BUSY","message":"later"}', clock.now() + 5)
    state.recount()
    assert state.many
    assert enqueue(state, "o", "more") == "full for its owner"
    clock.jump(5)
    do(state, "claim", "w", 0, 30.0, NO_LIMITS)
    assert Counter(claim(state, 20)) == {"o": 6, **{f"p{n}": 1 for n in range(8)}}


def test_what_another_program_wrote_is_counted_while_the_queue_goes_on(state, path, enqueue, claim, do):
    for n in range(14):
        enqueue(state, f"o{n:02}")
    assert state.owners.of("o03") == 1
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DELETE FROM requests WHERE owner = 'o03'")
    state.execute("BEGIN IMMEDIATE")
    state.begin()
    state._recount.wait()
    state.execute("COMMIT")
    enqueue(state, "new")
    assert (state.queued, state.owners.of("o03")) == (14, 0)
    *_, changed_externally, keys = do(state, "claim", "w", 0, 30.0, NO_LIMITS)
    assert (changed_externally, keys) == (True, None)
    assert claim(state, 20) == ["new", "o00", "o01", "o02", *(f"o{n:02}" for n in range(4, 14))]
    assert state.queued == 0


def test_few_that_are_left_when_nothing_but_a_recount_shows_it_are_read_into_memory(state, path, enqueue, claim):
    for n in range(14):
        enqueue(state, f"o{n:02}")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DELETE FROM requests WHERE owner != 'o03'")
    state.execute("BEGIN IMMEDIATE")
    state.begin()
    state._recount.wait()
    state.execute("COMMIT")
    assert claim(state, 1) == ["o03"]
    assert (state.queued, state.many) == (0, False)


def test_what_was_stored_before_many_waited_is_counted_too_and_so_is_what_comes_back(state, enqueue, do, clock):
    for n in range(6):
        enqueue(state, "o", f"r{n}")
    (row,) = do(state, "claim", "w", 1, 30.0, NO_LIMITS)[0]
    for n in range(6):
        enqueue(state, f"p{n}")
    assert state.many
    do(state, "release", [["o", row[1], 1]])
    assert enqueue(state, "o", "more") == "full for its owner"
    state.recount()
    assert enqueue(state, "o", "more") == "full for its owner"


def test_many_whose_commit_failed_are_read_from_the_file_by_the_next_transaction(
    state, enqueue, clock, do, monkeypatch
):
    for n in range(10):
        enqueue(state, "o" if n < 6 else f"p{n}", f"r{n}")
    change = state.change
    given = record(clock, "new", owner="new")

    def broken(statement, *values):
        if statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return change(statement, *values)

    monkeypatch.setattr(state, "change", broken)
    ((_, outcome, _),) = apply(state, [[9001, NUMBERS["enqueue"], clock.now(), [to_new_row(given), ""]]])
    assert outcome == BROKEN
    monkeypatch.setattr(state, "change", change)
    assert enqueue(state, "new") is None
    assert (state.many, state.queued) == (True, 11)
    assert enqueue(state, "o", "more") == "full for its owner"


def test_a_group_that_failed_leaves_the_counts_as_they_were(state, enqueue, do, clock):
    for n in range(12):
        enqueue(state, f"o{n}")
    state.recount()
    given = to_new_row(record(clock, "new", owner="o1"))
    answers = apply(state, [[9001, NUMBERS["enqueue"], clock.now(), (given, "")], [9002, NUMBERS["enqueue"], 0.0, ()]])
    assert answers[0][1] == DONE
    assert (state.queued, state.owners.of("o1")) == (13, 2)
    with contextlib.suppress(TypeError):
        state.execute("BEGIN IMMEDIATE")
        state.begin()
        state.enter(FairKey("work", 0, "", "o1"))
        state.wait_again(FairKey("work", 0, "", "o1"))
    state.undo()
    state.execute("ROLLBACK")
    assert (state.queued, state.owners.of("o1")) == (13, 2)


def test_the_place_in_the_round_is_remembered_for_so_many_tenants(state, enqueue, claim, monkeypatch):
    monkeypatch.setattr(wheel, "CURSORS", 2)
    for tenant in "tuv":
        for user in "xy":
            enqueue(state, name="1", **of_tenant(tenant, user))
            enqueue(state, name="2", **of_tenant(tenant, user))
    state.recount()
    assert claim(state, 3) == ["principal:t/x", "principal:u/x", "principal:v/x"]
    assert claim(state, 3) == ["principal:t/x", "principal:u/x", "principal:v/x"], "the oldest ones were forgotten"


def test_large_counts_are_never_read_twice_and_small_ones_are_dropped(monkeypatch):
    monkeypatch.setattr(counts, "HELD", 3)
    asked = []
    sizes = {"large": 100, "a": 1, "b": 2, "c": 3, "d": 4}
    held = Counts(lambda name: asked.append(name) or sizes[name])
    held.clear(complete=False)
    for name in ("large", "a", "b", "c", "d"):
        assert held.of(name) == sizes[name]
    assert "large" in held.held
    assert len(held.held) < len(sizes)
    held.change("large", -100)
    assert (held.of("large"), held.of("a")) == (0, 1)
    held.change("nobody that was asked for", 1)
    assert "nobody that was asked for" not in held.held
    assert asked == ["large", "a", "b", "c", "d", "a"]
