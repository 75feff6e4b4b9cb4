"""What the writer does with a group of operations, in the test's own process."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections import Counter

import msgspec
import pytest

from streamer.core.errors import StoreUnavailable
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.queue.fairness import Capacity, FairKey, FairQueue
from streamer.stores.sqlite import backlog, claim_queries, database, read_queries, wheel
from streamer.stores.sqlite import state as state_module
from streamer.stores.sqlite.operations import NUMBERS, OPERATIONS
from streamer.stores.sqlite.rows import to_new_row
from streamer.stores.sqlite.state import State
from streamer.stores.sqlite.writer import BROKEN, DONE, REFUSED, TROUBLE, apply, main, open_state
from streamer.subprocesses.child import Channel
from streamer.subprocesses.framing import frame
from streamer.testing.conformance import record

NO_LIMITS = (None, None, None)
PRINCIPAL = Principal(user_id="u", tenant_id="t")
TIMED = "timed (action=? AND priority=? AND status=? AND waiting=?)"


@pytest.fixture
def state(path):
    with contextlib.closing(database.open_database(path, create=True)) as connection:
        yield State(connection, 100)


@pytest.fixture
def operator(path, state):
    """Another process's connection to the same file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
def ask(clock):
    """Makes operations with rising numbers."""
    number = 0

    def ask(name, *arguments):
        nonlocal number
        number += 1
        return [number, NUMBERS[name], clock.now(), arguments]

    return ask


def outcomes(answers):
    return [outcome for _, outcome, _ in answers]


def test_every_answer_carries_the_number_of_its_question(state, ask, clock):
    answers = apply(
        state,
        [ask("enqueue", to_new_row(record(clock, "a")), ""), ask("get", "client:one", "a", 1 << 20), ask("counts")],
    )
    assert [number for number, _, _ in answers] == [1, 2, 3]
    assert answers[2][2] == [{"PENDING": 1}, None]


def test_a_refusal_is_an_answer_and_its_neighbours_are_written(state, ask, clock):
    answers = apply(
        state,
        [
            ask("enqueue", to_new_row(record(clock, "a")), ""),
            ask("requeue", "client:one", "a"),
            ask("enqueue", to_new_row(record(clock, "b")), ""),
        ],
    )
    assert outcomes(answers) == [DONE, REFUSED, DONE]
    assert state.queued == 2


@pytest.mark.parametrize(
    "poison",
    [
        ("enqueue", ("too", "short")),
        ("update_progress", ["o", "i", 2**63], 1, 5.0, "", b""),
        ("update_progress", "not a lease", 1, 5.0, "", b""),
        ("claim", "w", 1),
    ],
    ids=["SQL", "number", "shape", "arguments"],
)
def test_whatever_one_operation_raises_its_neighbours_are_written(state, ask, clock, poison):
    answers = apply(
        state,
        [
            ask("enqueue", to_new_row(record(clock, "a")), ""),
            ask(*poison),
            ask("enqueue", to_new_row(record(clock, "b")), ""),
        ],
    )
    assert outcomes(answers) == [DONE, BROKEN, DONE]
    assert answers[1][2]
    assert state.queued == 2


def test_a_full_disk_fails_what_does_not_fit_and_leaves_the_counts_as_they_were(state, ask, clock):
    apply(state, [ask("enqueue", to_new_row(record(clock, "before")), "")])
    pages = state.execute("PRAGMA page_count").fetchone()[0]
    state.execute(f"PRAGMA max_page_count = {pages}")
    large = to_new_row(record(clock, "large", payload=b"x" * 100_000))
    answers = apply(
        state,
        [
            ask("enqueue", to_new_row(record(clock, "small")), ""),
            ask("enqueue", large, ""),
            ask("get", "client:one", "small", 1 << 20),
        ],
    )
    assert outcomes(answers) == [DONE, BROKEN, DONE, TROUBLE]
    assert "full" in answers[1][2]
    assert state.queued == 2
    state.execute("PRAGMA max_page_count = 100000")
    assert outcomes(apply(state, [ask("enqueue", large, "")])) == [DONE, TROUBLE]
    assert state.queued == 3


def test_what_an_operator_did_is_not_forgotten_by_a_group_that_failed(state, operator, ask, clock):
    apply(state, [ask("enqueue", to_new_row(record(clock, "a")), ""), ask("cancel", "client:one", "a", "enough")])
    apply(state, [ask("claim", "w", 1, 30.0, NO_LIMITS)])
    operator.execute(
        "UPDATE requests SET status = 'PENDING', waiting = 1, due_at = ?, finished_at = NULL", (clock.now(),)
    )
    apply(state, [ask("enqueue", ("too", "short")), ask("enqueue", ("shorter",))])
    ((_, _, (taken, _, _, changed_externally, _)),) = apply(state, [ask("claim", "w", 1, 30.0, NO_LIMITS)])
    assert [row[1] for row in taken] == ["a"]
    assert changed_externally


def test_a_claim_in_a_group_that_failed_still_says_that_an_operator_was_there(state, operator, ask, clock):
    apply(state, [ask("enqueue", to_new_row(record(clock, "a")), "")])
    operator.execute("UPDATE requests SET message = 'seen'")
    answers = apply(state, [ask("claim", "w", 1, 30.0, NO_LIMITS), ask("enqueue", ("too", "short"))])
    assert outcomes(answers) == [DONE, BROKEN]
    assert answers[0][2][3] is True
    answers = apply(state, [ask("claim", "w", 1, 30.0, NO_LIMITS)])
    assert answers[0][2][3] is False


def test_a_file_held_by_another_process_is_waited_for_once_and_not_by_each(state, operator, ask, clock, monkeypatch):
    state.execute("PRAGMA busy_timeout = 1")
    begun = []
    change = state.change
    monkeypatch.setattr(state, "change", lambda *a: (begun.append(a[0]), change(*a))[1])
    operator.execute("BEGIN IMMEDIATE")
    answers = apply(state, [ask("enqueue", to_new_row(record(clock, f"r{n}")), "") for n in range(5)])
    operator.execute("ROLLBACK")
    assert outcomes(answers) == [BROKEN] * 5
    assert "locked" in answers[0][2]
    assert begun == ["BEGIN IMMEDIATE"]


def test_looking_neither_waits_for_another_process_nor_holds_it_up(state, operator, ask, clock):
    apply(state, [ask("enqueue", to_new_row(record(clock, "a")), "")])
    state.execute("PRAGMA busy_timeout = 0")
    operator.execute("BEGIN IMMEDIATE")
    looks = [
        ask("get", "client:one", "a", 1 << 20),
        ask("find", "a", 100),
        ask("counts"),
        ask("undelivered", "client:one", 10),
        ask("list_records", None, None, None, 10, None),
    ]
    assert outcomes(apply(state, looks)) == [DONE] * 5
    operator.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        (
            claim_queries._OLDEST,
            ("a", 0, "t", "o", 1),
            "queued (action=? AND priority=? AND waiting=? AND tenant=? AND owner=?)",
        ),
        (wheel._NEXT_TENANT, ("a", 0, "t"), "queued (action=? AND priority=? AND waiting=? AND tenant>?)"),
        (wheel._FIRST_TENANT, ("a", 0), "queued (action=? AND priority=? AND waiting=?)"),
        (
            wheel._NEXT_OWNER,
            ("a", 0, "t", "o"),
            "queued (action=? AND priority=? AND waiting=? AND tenant=? AND owner>?)",
        ),
        (wheel._FIRST_OWNER, ("a", 0, "t"), "queued (action=? AND priority=? AND waiting=? AND tenant=?)"),
        (claim_queries._TAKEN_BY, ("a", 0, "t"), TIMED.replace(")", " AND due_at>?)")),
        (claim_queries._ENDED_BY, (1.0, "t"), "finished (finished_at=?)"),
        (claim_queries._FALLEN_DUE, ("a", 0, 1.0, 1), TIMED.replace(")", " AND due_at>? AND due_at<?)")),
        (claim_queries._EXPIRED_LEASES, (1.0, "a", 0, 1.0), TIMED.replace(")", " AND due_at>? AND due_at<?)")),
        (claim_queries._RUNNING, ("a", 0), TIMED.replace(")", " AND due_at>?)")),
        (claim_queries._EXPIRED, (1.0, 1), "expiring (expires_at>? AND expires_at<?)"),
    ],
)
def test_claims_read_what_they_need_and_nothing_else(state, query, values, index):
    (plan,) = [row[3] for row in state.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert plan.replace("COVERING ", "") == f"SEARCH requests USING INDEX requests_{index}"


def test_what_is_kept_in_memory_is_read_without_the_rows_and_a_clock_put_back_looks_at_few(state):
    def plans(query, *values):
        return [row[3] for row in state.execute(f"EXPLAIN QUERY PLAN {query}", values)]

    every = "SCAN requests USING INDEX requests_queued"
    assert plans(backlog._IN_LINE)[0] == every
    assert plans(backlog._RETRYING)[0] == every
    assert plans(backlog.COUNT) == [every]
    assert every in plans(backlog._COUNT_UP_TO, 1)
    assert plans(backlog._COUNT_OWNER, "o") == ["SEARCH requests USING INDEX requests_counted (owner=?)"]
    queued = "SEARCH requests USING INDEX requests_queued"
    share = "(action=? AND priority=? AND waiting=? AND tenant=?)"
    assert plans(backlog._COUNT_SHARE, "a", 0, 1, "t") == [f"{queued} {share}"]
    timed = "SEARCH requests USING COVERING INDEX requests_timed"
    for index, statements in (("requests_queued", backlog._QUEUED_KINDS), ("requests_timed", backlog._TIMED_KINDS)):
        same_action, next_action = (statement.replace("?", "'a'", 1) for statement in statements)
        assert plans(same_action, 0)[0].endswith(f"INDEX {index} (action=? AND priority>?)")
        assert plans(next_action)[0].endswith(f"INDEX {index} (action>?)")
    running = "(action=? AND priority=? AND status=? AND waiting=? AND due_at>?)"
    assert f"{timed} {running}" in plans(state_module._DUE_NOW, 1.0, "a", 0)
    timed, expiring = (plans(statement, 1.0) for statement in state_module._REBASE_CLOCK)
    assert timed == ["SCAN requests USING INDEX requests_timed"]
    assert expiring == ["SEARCH requests USING INDEX requests_expiring (expires_at>?)"]


async def test_a_start_looks_at_what_ran_and_at_all_that_waits_only_where_the_clock_was_put_back(state, ask, clock):
    apply(state, [ask("enqueue", to_new_row(record(clock, f"r{n}")), "") for n in range(3)])
    apply(state, [ask("claim", "w", 1, 30.0, NO_LIMITS)])
    statements = []
    state.database.set_trace_callback(statements.append)
    await clock.advance(1)
    state.at_start(clock.now())
    state.recover(clock.now())
    assert len(statements) == 2
    assert state.get("client:one", "r0")[10] == clock.now()
    del statements[:]
    clock.jump(-3600)
    state.at_start(clock.now())
    state.database.set_trace_callback(None)
    assert len(statements) > 2
    assert state.get("client:one", "r0")[10] == clock.now()


@pytest.mark.parametrize("count", [5, 6, 7])
@pytest.mark.parametrize(("action", "limit"), [(None, 2), (None, 3), (None, 50), ("rare", 1), ("rare", 50), ("no", 2)])
def test_a_listing_looks_at_few_for_each_page_and_finds_all(state, ask, clock, monkeypatch, count, action, limit):
    monkeypatch.setattr(read_queries, "PAGE_ROWS", 3)
    names = [f"r{n}" for n in range(count)]
    for n, name in enumerate(names):
        apply(state, [ask("enqueue", to_new_row(record(clock, name, action="work" if n % 3 else "rare")), "")])
    found, before, pages = [], None, 0
    while pages == 0 or before is not None:
        ((_, _, (page, before)),) = apply(state, [ask("list_records", None, None, action, limit, before)])
        found += [summary[1] for summary in page]
        assert len(page) <= min(limit, 3)
        pages += 1
    assert pages <= count
    wanted = {None: names, "rare": names[::3], "no": []}
    assert found == wanted[action][::-1]


def test_a_recovery_that_cannot_be_written_says_so(path, clock, monkeypatch):
    options = {
        "path": str(path), "operator": False, "lock_wait": 0.0, "recover": True, "now": clock.now(),
        "max_queued": 1, "max_queued_per_owner": None, "max_queued_per_address": None, "session": "s",
        "repeats_until": 0,
    }  # fmt: skip
    monkeypatch.setattr("streamer.stores.sqlite.writer.open_database", lambda *_, **__: sqlite3.connect(path))
    with pytest.raises(StoreUnavailable, match=r"queue\.db could not be written: no such table"):
        open_state(options)


class TestWhatMayHaveBeenDone:
    """Operations sent again after a writer's death find their own work; the same from somebody else does not."""

    @pytest.fixture
    def twice(self, state, ask):
        """The answers to one operation, first and sent again."""

        def twice(name, *arguments):
            operation = ask(name, *arguments)
            ((_, _, first),) = apply(state, [operation])
            state.repeats_until = operation[0]
            ((_, outcome, second),) = apply(state, [operation])
            assert outcome == DONE
            return first, second

        return twice

    def test_a_request_stored_is_newly_stored(self, state, twice, ask, clock):
        row = to_new_row(record(clock))
        assert twice("enqueue", row, "") == (None, None)
        ((_, _, answer),) = apply(state, [ask("enqueue", row, "")])
        assert answer is not None
        assert state.queued == 1

    def test_a_claim_made_brings_the_same_requests(self, state, twice, ask, clock):
        for n in range(3):
            apply(state, [ask("enqueue", to_new_row(record(clock, f"r{n}")), "")])
        first, second = twice("claim", "w", 2, 30.0, NO_LIMITS)
        assert first[:3] == second[:3]
        assert len(first[0]) == 2
        assert state.queued == 1

    async def test_a_request_abandoned_is_told_of_again(self, state, twice, ask, clock):
        apply(
            state,
            [ask("enqueue", to_new_row(record(clock, max_attempts=1)), ""), ask("claim", "w", 1, 30.0, NO_LIMITS)],
        )
        await clock.advance(30)
        first, second = twice("claim", "w", 1, 30.0, NO_LIMITS)
        assert first[1] == second[1]
        assert first[1][0][9] == "FAILED"

    async def test_a_claim_that_brought_nothing_is_made_anew(self, state, twice, ask, clock):
        first, second = twice("claim", "w", 1, 30.0, NO_LIMITS)
        assert first[:3] == second[:3] == [[], [], None]

    def test_a_request_cancelled_and_one_queued_again_are_so_once(self, state, twice, ask, clock):
        apply(state, [ask("enqueue", to_new_row(record(clock)), "")])
        first, second = twice("cancel", "client:one", "r1", "enough")
        assert first == second
        assert state.queued == 0
        first, second = twice("requeue", "client:one", "r1")
        assert first == second
        assert state.queued == 1


class TestTheProgram:
    @pytest.fixture
    def ends(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours, Channel(theirs)

    @pytest.fixture
    def options(self, path, clock):
        return {
            "path": str(path), "operator": True, "lock_wait": 0.0, "recover": True, "now": clock.now(),
            "max_queued": 1, "max_queued_per_owner": None, "max_queued_per_address": None, "session": "s",
        "repeats_until": 0,
        }  # fmt: skip

    def test_a_refusal_is_told_by_its_name_and_ends_it(self, ends, options, path):
        ours, channel = ends
        ours.sendall(frame(msgspec.msgpack.encode(options)))
        main(channel)
        (told,) = Channel(ours).receive()
        assert msgspec.msgpack.decode(told) == [
            "StoreError", f"{path} does not exist: no service has stored a request in it yet"
        ]  # fmt: skip

    def test_a_parent_that_is_gone_before_it_said_anything_ends_it(self, ends):
        ours, channel = ends
        ours.close()
        main(channel)

    def test_a_parent_that_does_not_wait_for_the_answer_ends_it(self, ends, options, path):
        database.open_database(path, create=True).close()
        ours, channel = ends
        ours.sendall(frame(msgspec.msgpack.encode(options)))
        ours.close()
        main(channel)

    def test_what_comes_with_the_opening_is_done_after_it(self, ends, options, path):
        database.open_database(path, create=True).close()
        ours, channel = ends
        ours.sendall(
            frame(msgspec.msgpack.encode(options)) + frame(msgspec.msgpack.encode([[1, NUMBERS["counts"], 0.0, []]]))
        )
        ours.shutdown(socket.SHUT_WR)
        main(channel)
        opened, answered = Channel(ours).receive()
        assert msgspec.msgpack.decode(opened) is None
        assert msgspec.msgpack.decode(answered) == [[1, DONE, [{}, None]]]


class TestWhatIsKeptInMemory:
    """Whatever happens to a transaction, and whoever else writes, it says what the file says."""

    @pytest.fixture
    def state(self, path):
        with contextlib.closing(database.open_database(path, create=True)) as connection:
            yield State(connection, 100, max_queued_per_owner=50)

    @pytest.fixture
    def known(self, state):
        """What is kept of the queue, as values that can be compared."""

        def known():
            lines = _copy_of(state).take(1000, Capacity(None, None, None))
            return state.queued, dict(state.owners.held), Counter(lines)

        return known

    @pytest.fixture
    def counted(self, state, known):
        """The same, read anew from the file."""

        def counted():
            kinds = set(state.times.kinds)
            state.recount()
            assert kinds >= state.times.kinds, "what nothing waits in any more is forgotten by and by"
            return known()

        return counted

    async def test_a_group_that_failed_leaves_all_of_it_as_it_was(self, state, ask, clock, known, counted):
        for n in range(4):
            apply(state, [ask("enqueue", to_new_row(record(clock, f"r{n}", max_attempts=1)), "")])
        apply(state, [ask("claim", "w", 2, 30.0, NO_LIMITS)])
        error = msgspec.json.encode(ErrorBody("BUSY", "later"))
        apply(state, [ask("fail", ["client:one", "r0", 1], 1, error, clock.now() + 5)])
        apply(state, [ask("enqueue", to_new_row(record(clock, "late", expires_at=clock.now() + 1)), "")])
        await clock.advance(30)
        before = known()
        state.execute("BEGIN IMMEDIATE")
        state.begin()
        for operation in (
            ask("claim", "w", 2, 30.0, NO_LIMITS),
            ask("enqueue", to_new_row(record(clock, "new", owner="other", principal=PRINCIPAL)), "t"),
            ask("release", [["client:one", "r2", 1]]),
            ask("cancel", "client:one", "r3", "enough"),
            ask("requeue", "client:one", "r3"),
            ask("fail", ["client:one", "r0", 2], 1, error, clock.now() + 5),
            ask("claim", "w", 0, 30.0, NO_LIMITS),
            ask("cancel", "client:one", "r0", "enough"),
        ):
            number, kind, now, arguments = operation
            OPERATIONS[kind](state, number, False, now, *arguments)
        assert known() != before
        state.undo()
        state.execute("ROLLBACK")
        assert known() == before
        assert counted() == before

    async def test_after_any_life_it_says_what_the_file_says(self, state, ask, clock, known, counted):
        error = msgspec.json.encode(ErrorBody("BUSY", "later"))
        for n in range(6):
            apply(state, [ask("enqueue", to_new_row(record(clock, f"r{n}", owner=f"o{n % 2}")), "")])
        for step in (
            ask("claim", "w", 4, 30.0, NO_LIMITS),
            ask("fail", ["o0", "r0", 1], 1, error, clock.now() + 5),
            ask("fail", ["o1", "r1", 1], 1, error, None),
            ask("complete", ["o0", "r2", 1], 1, b"1"),
            ask("release", [["o1", "r3", 1]]),
            ask("cancel", "o0", "r4", "enough"),
            ask("requeue", "o1", "r1"),
        ):
            apply(state, [step])
            assert known() == counted()
        await clock.advance(5)
        apply(state, [ask("claim", "w", 0, 30.0, NO_LIMITS)])
        assert known() == counted()
        apply(state, [ask("cancel", "o0", "r0", "enough")])
        assert known() == counted()

    def test_a_clock_that_went_back_in_a_group_that_failed_is_noticed_again(self, state, ask, clock):
        apply(state, [ask("enqueue", to_new_row(record(clock)), ""), ask("claim", "w", 1, 30.0, NO_LIMITS)])
        later = clock.now()
        clock.jump(-3600)
        apply(state, [ask("claim", "w", 1, 30.0, NO_LIMITS), ask("enqueue", ("too", "short"))])
        assert state.get("client:one", "r1")[10] == later - 3600 + 30

    async def test_very_many_that_expire_do_so_over_several_claims_and_none_begins(
        self, state, ask, clock, counted, known, monkeypatch
    ):
        monkeypatch.setattr(claim_queries, "_SLICE", 3)
        for n in range(8):
            apply(state, [ask("enqueue", to_new_row(record(clock, f"r{n}", expires_at=clock.now() + 1)), "")])
        await clock.advance(1)
        ended = []
        for _ in range(3):
            ((_, _, (taken, over, next_due, *_)),) = apply(state, [ask("claim", "w", 5, 30.0, NO_LIMITS)])
            ended.append((len(taken), len(over), next_due))
        assert ended == [(0, 3, clock.now()), (0, 3, clock.now()), (0, 2, None)]
        assert known() == counted()

    async def test_very_many_retries_fall_due_over_several_claims(self, state, ask, clock, monkeypatch):
        monkeypatch.setattr(claim_queries, "_SLICE", 3)
        error = msgspec.json.encode(ErrorBody("BUSY", "later"))
        for n in range(7):
            apply(state, [ask("enqueue", to_new_row(record(clock, f"r{n}")), "")])
        apply(state, [ask("claim", "w", 7, 30.0, NO_LIMITS)])
        apply(state, [ask("fail", ["client:one", f"r{n}", 1], 1, error, clock.now() + 5) for n in range(7)])
        await clock.advance(9)
        taken = []
        for _ in range(3):
            ((_, _, (rows, _, next_due, *_)),) = apply(state, [ask("claim", "w", 9, 30.0, NO_LIMITS)])
            taken.append((len(rows), next_due))
        assert taken == [(3, clock.now()), (3, clock.now()), (1, clock.now() + 30)]

    def test_a_claim_sent_again_counts_what_it_had_taken_against_its_limits(self, state, ask, clock):
        for n in range(2):
            row = to_new_row(record(clock, f"r{n}", owner=f"o{n}", principal=PRINCIPAL))
            apply(state, [ask("enqueue", row, "t")])
        operation = ask("claim", "w", 1, 30.0, (None, 1, None))
        ((_, _, first),) = apply(state, [operation])
        state.repeats_until = operation[0]
        ((_, _, second),) = apply(state, [operation])
        assert first[:3] == second[:3]
        assert first[2] == clock.now() + 30


def _copy_of(state):
    lines = FairQueue()
    for priority, actions in state.lines._levels.items():
        for action, tenants in actions.items():
            for tenant, owners in tenants.items():
                for owner, count in owners.items():
                    lines.add(FairKey(action, priority, tenant, owner), count)
    return lines
