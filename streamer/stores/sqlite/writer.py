"""The writer process: everything that has arrived is written in one transaction, and answered once it is on disk."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from streamer.core.errors import StoreError, StoreUnavailable, TransitionRefused
from streamer.stores.sqlite.claim_queries import claim_of_nothing
from streamer.stores.sqlite.database import open_database
from streamer.stores.sqlite.files import FileWatch
from streamer.stores.sqlite.guard import Guard
from streamer.stores.sqlite.operations import FIRST_READ, NUMBERS, OPERATIONS
from streamer.stores.sqlite.operator_state import OperatorState
from streamer.stores.sqlite.schema import MIGRATIONS
from streamer.stores.sqlite.service_lock import ServiceLock
from streamer.stores.sqlite.single_thread import collect_rarely, use_no_locks
from streamer.stores.sqlite.state import State
from streamer.subprocesses.child import Channel

_CLAIM: Final = NUMBERS["claim"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

DONE = 0
REFUSED = 1
BROKEN = 2
TROUBLE = 3
"""A message without a caller: why writes are refused from now on, or None when they are accepted again."""

SCHEMA_VERSION: Final = len(MIGRATIONS)

Answers = list[tuple[int, int, Any]]


def serve(channel: Channel) -> None:
    """The whole life of a writer process."""
    use_no_locks()
    collect_rarely()
    main(channel)


def main(channel: Channel) -> None:
    """Opens the file as the first message says, then serves until the parent process is gone."""
    opening, *messages = channel.receive() or [b""]
    if not opening:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            state = open_state(_decode(opening))
        except StoreError as problem:
            channel.send(_encode([type(problem).__name__, str(problem)]))
            return
        try:
            channel.send(_encode(None))
            messages = messages or channel.receive()
            while messages:
                answers = apply(state, [operation for message in messages for operation in _decode(message)])
                channel.send(_encode(answers))
                messages = channel.receive()
        finally:
            if state.guard.closed_since() is None:
                state.database.close()
            else:
                # When it closes, SQLite cleans up by the names of the files, which may belong to other files now.
                os._exit(0)


def open_state(options: Mapping[str, Any]) -> State:
    """Locks and opens the file.

    Raises:
        StoreError: it cannot be opened.
    """
    path = Path(options["path"])
    operator = options["operator"]
    # Never closed here: this process keeps it as long as it lives.
    lock = None if operator else ServiceLock(path, os.getppid(), options["lock_wait"])
    database = open_database(path, create=not operator)
    state = (OperatorState if operator else State)(
        database,
        options["max_queued"],
        max_queued_per_owner=options["max_queued_per_owner"],
        max_queued_per_address=options["max_queued_per_address"],
        session=options["session"],
        repeats_until=options["repeats_until"],
    )
    if not operator:
        try:
            _put_right(state, options["now"], recover=options["recover"])
        except sqlite3.Error as problem:
            database.close()
            raise StoreUnavailable(f"{path} could not be written: {problem}") from None
    if lock is not None:
        state.guard = guard_of(path, database, lock)
    return state


def guard_of(path: Path, database: sqlite3.Connection, lock: ServiceLock) -> Guard:
    """Watches the files of the open database, and the lock."""
    watch = FileWatch(path, lambda: database.execute("PRAGMA wal_checkpoint(FULL)").fetchone())
    return Guard(path, watch.problem, lock.problem, before=watch.log_unchanged, after=watch.unchanged)


def _put_right(state: State, now: float, *, recover: bool) -> None:
    """What may have happened while no service ran: the clock was set back, and all workers with a lease have died."""
    state.execute("BEGIN IMMEDIATE")
    state.begin()
    state.at_start(now)
    if recover:
        # With the lock held, no other worker is alive: the requests of dead workers are due now.
        state.recover(now)
    state.change("COMMIT")


def apply(state: State, operations: list[list[Any]]) -> Answers:
    """Does all operations in one transaction; when it fails, each in its own, so that only the broken one fails.

    If the file is not the one that was opened, nothing is done, and the last commit is not acknowledged.
    """
    guard = state.guard
    closed = guard.closed(operations[0][2])
    if closed is None and (answers := _of_nothing(state, operations)):
        return answers
    answers = _applied(state, operations) if closed is None else []
    if (closed := closed or guard.closed_since()) is not None:
        answers = [(number, BROKEN, closed) for number, _, _, _ in operations]
    if (news := guard.news()) is not None:
        answers.append((0, TROUBLE, news[0]))
    return answers


def _of_nothing(state: State, operations: list[list[Any]]) -> Answers:
    """The answer to a claim that finds nothing, which is the usual case, without a transaction. Empty when a
    transaction is needed.
    """
    number, kind, now, arguments = operations[0]
    if kind != _CLAIM or len(operations) > 1 or state.guard.trouble is not None:
        return []
    try:
        answer = claim_of_nothing(state, number, number <= state.repeats_until, now, *arguments)
    except Exception:  # noqa: BLE001 - with a transaction it is tried again, and reported if it fails again
        return []
    return [] if answer is None else [(number, DONE, answer)]


def _applied(state: State, operations: list[list[Any]]) -> Answers:
    reading = operations[0][1] >= FIRST_READ and all(kind >= FIRST_READ for _, kind, _, _ in operations)
    try:
        state.change("BEGIN" if reading else "BEGIN IMMEDIATE")
        answers = _transaction(state, operations, reading=reading)
    except Exception as problem:  # noqa: BLE001 - whatever one of them raises, the others and the writer go on
        state.guard.failed(problem)
        # If not even the transaction could start (another process locks the file), none of them would succeed alone.
        if len(operations) == 1 or _is_busy(problem):
            return [(number, BROKEN, _reason(problem)) for number, _, _, _ in operations]
        return [answer for operation in operations for answer in _applied(state, [operation])]
    if not reading:
        state.guard.written()
    return answers


def _transaction(state: State, operations: list[list[Any]], *, reading: bool) -> Answers:
    try:
        state.begin(reading=reading)
        answers: Answers = []
        for number, kind, now, arguments in operations:
            again = number <= state.repeats_until
            if kind < FIRST_READ:
                state.at(now)
            try:
                answers.append((number, DONE, OPERATIONS[kind](state, number, again, now, *arguments)))
            except TransitionRefused as refusal:
                answers.append((number, REFUSED, str(refusal)))
        state.finish()
        if state.guard.trouble is not None and operations[0][1] < FIRST_READ:
            # A transaction that changes nothing does not show that the disk accepts writes again: this changes a page.
            state.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        state.change("COMMIT")
    except BaseException:
        state.undo()
        # SQLite itself ends the transaction after some errors, such as a full disk.
        if state.database.in_transaction:
            state.execute("ROLLBACK")
        raise
    return answers


def _is_busy(problem: Exception) -> bool:
    return isinstance(problem, sqlite3.OperationalError) and problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _reason(problem: Exception) -> str:
    return str(problem) if isinstance(problem, sqlite3.Error) else f"{type(problem).__name__}: {problem}"
