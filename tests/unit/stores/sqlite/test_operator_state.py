"""What an operator's command changes is applied by the running service, which counts nothing anew for it."""

from __future__ import annotations

import contextlib
from collections import Counter

import msgspec
import pytest

from streamer.core.messages import ErrorBody
from streamer.queue.fairness import Capacity, FairQueue
from streamer.stores.sqlite import SqliteStore
from streamer.stores.sqlite.database import open_database
from streamer.stores.sqlite.operations import NUMBERS
from streamer.stores.sqlite.operator_state import OperatorState
from streamer.stores.sqlite.rows import to_new_row
from streamer.stores.sqlite.state import State
from streamer.stores.sqlite.writer import BROKEN, DONE, apply
from streamer.testing.conformance import lease_of, record

NO_LIMITS = (None, None, None)
OWNER = "client:one"


@pytest.fixture
def service(path):
    with contextlib.closing(open_database(path, create=True)) as connection:
        yield State(connection, 1000, max_queued_per_owner=500)


@pytest.fixture
def operator(path, service):
    with contextlib.closing(open_database(path, create=False)) as connection:
        yield OperatorState(connection, 1000)


@pytest.fixture
def do(clock):
    number = 0

    def do(state, name, *arguments):
        nonlocal number
        number += 1
        ((_, outcome, value),) = apply(state, [[number, NUMBERS[name], clock.now(), arguments]])
        assert outcome == DONE, value
        return value

    return do


def known(state):
    """What is kept in memory, as values that can be compared."""
    lines = FairQueue()
    for place, count in list(Counter(state.lines.take(10_000, Capacity(None, None, None), [])).items()):
        lines.add(place, count)
        state.lines.add(place, count)
    return state.queued, dict(state.owners.held), Counter(lines.take(10_000, Capacity(None, None, None), []))


def counted(path):
    """The same, counted from the file by another."""
    with contextlib.closing(open_database(path, create=False)) as connection:
        state = State(connection, 1000, max_queued_per_owner=500)
        state.recount()
        return known(state)


@pytest.fixture
def story(service, do, clock):
    """One request in each state, and many that wait."""
    for name in ("failed", "retrying", "running"):
        do(service, "enqueue", to_new_row(record(clock, name)), "")
    do(service, "claim", "w", 3, 30.0, NO_LIMITS)
    error = msgspec.json.encode(ErrorBody("BROKEN", "it broke"))
    do(service, "fail", [OWNER, "failed", 1], 1, error, None)
    do(service, "fail", [OWNER, "retrying", 1], 1, error, clock.now() + 60)
    for n in range(300):
        do(service, "enqueue", to_new_row(record(clock, f"r{n}", owner=f"client:{n % 7}")), "")


WRITES = {
    "a waiting request is cancelled": (("cancel", "client:5", "r5", "enough"), [("client:5", "r5")]),
    "a retrying request is cancelled": (("cancel", OWNER, "retrying", "enough"), [(OWNER, "retrying")]),
    "a running request is cancelled": (("cancel", OWNER, "running", "enough"), [(OWNER, "running")]),
    "a failed request runs again": (("requeue", OWNER, "failed"), [(OWNER, "failed")]),
    "a claim is given back": (("release", [[OWNER, "running", 1]]), [(OWNER, "running")]),
    "an attempt fails": (
        ("fail", [OWNER, "running", 1], 1, msgspec.json.encode(ErrorBody("BROKEN", "it broke")), 9e9),
        [(OWNER, "running")],
    ),
    "what has ended is deleted": (("purge", 9e9, 16), None),
    "an outcome counts as delivered": (("mark_delivered", [[OWNER, "failed"]]), None),
}


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(("write", "keys"), WRITES.values(), ids=WRITES)
def test_a_change_is_applied_without_reading_what_waits(service, operator, do, clock, path, write, keys):
    do(operator, *write)
    statements = []
    service.database.set_trace_callback(statements.append)
    do(service, "enqueue", to_new_row(record(clock, "new")), "")
    service.database.set_trace_callback(None)
    assert not [text for text in statements if text.startswith("SELECT") and "FROM requests" in text]
    assert len(statements) <= 6
    assert known(service) == counted(path)
    *_, changed_externally, changed_keys = do(service, "claim", "w", 0, 30.0, NO_LIMITS)
    assert (changed_externally, changed_keys) == (True, keys)
    assert service.execute("SELECT count(*) FROM changes").fetchone() == (0,)
    *_, changed_externally, changed_keys = do(service, "claim", "w", 0, 30.0, NO_LIMITS)
    assert (changed_externally, changed_keys) == (False, [])


@pytest.mark.usefixtures("story")
def test_reading_changes_nothing_that_the_service_would_notice(service, operator, do, clock, monkeypatch):
    do(service, "claim", "w", 0, 30.0, NO_LIMITS)
    monkeypatch.setattr(service, "recount", None)
    version = service.execute("PRAGMA data_version").fetchone()
    do(operator, "list_records", None, None, None, 100, None)
    do(operator, "find", "r5", 10)
    do(operator, "get", "client:5", "r5", 1 << 20)
    do(operator, "counts")
    # A write that changes nothing is none either.
    do(operator, "mark_delivered", [["client:5", "r5"]])
    assert service.execute("PRAGMA data_version").fetchone() == version
    do(service, "enqueue", to_new_row(record(clock, "new")), "")
    *_, changed_externally, _ = do(service, "claim", "w", 0, 30.0, NO_LIMITS)
    assert not changed_externally


@pytest.mark.usefixtures("story")
def test_changes_are_applied_once_though_the_first_group_after_them_fails(service, operator, do, clock, path):
    do(operator, "cancel", "client:5", "r5", "enough")
    ((_, outcome, _),) = apply(service, [[99_999, NUMBERS["enqueue"], clock.now(), ("too", "short")]])
    assert outcome == BROKEN
    do(service, "enqueue", to_new_row(record(clock, "new")), "")
    assert known(service) == counted(path)


@pytest.mark.usefixtures("story")
def test_a_command_that_fails_leaves_no_notes(service, operator, do, clock, path):
    ((_, outcome, _),) = apply(operator, [[99_999, NUMBERS["cancel"], clock.now(), ("client:5", "r5")]])
    assert outcome == BROKEN
    assert operator.execute("SELECT count(*) FROM changes").fetchone() == (0,)
    do(operator, "claim", "w", 10, 30.0, NO_LIMITS)
    do(service, "enqueue", to_new_row(record(clock, "new")), "")
    assert known(service) == counted(path)


@pytest.mark.service
async def test_what_was_changed_while_no_service_ran_is_counted_at_its_start(path, clock):
    store = await SqliteStore.open(path, clock=clock)
    await store.enqueue(record(clock, "a"))
    await store.close()
    operator = await SqliteStore.open(path, clock=clock, operator=True)
    await operator.cancel((OWNER, "a"))
    await operator.requeue((OWNER, "a"))
    await operator.close()
    store = await SqliteStore.open(path, clock=clock)
    (claimed,) = (await store.claim("w", 10, 30.0)).records
    await store.complete(lease_of(claimed), seq=1 << 33, result=b"1")
    assert (await store.claim("w", 10, 30.0)).records == []
    await store.close()
