"""The writer process: everything that has arrived goes into one transaction, and is answered once that is on disk."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from streamer.children.child import Channel
from streamer.core.errors import StoreError, StoreUnavailable, TransitionRefused
from streamer.stores.sqlite.database import lock, open_database
from streamer.stores.sqlite.operations import FIRST_READ, OPERATIONS
from streamer.stores.sqlite.state import State

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

DONE = 0
REFUSED = 1
BROKEN = 2

Answers = list[tuple[int, int, Any]]


def main(channel: Channel) -> None:
    """Opens the file as the first message says, then serves until the parent is gone."""
    opening, *messages = channel.receive() or [b""]
    if not opening:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            state = open_state(_decode(opening))
        except StoreError as problem:
            channel.send(_encode([type(problem).__name__, str(problem)]))
            return
        with contextlib.closing(state.database):
            channel.send(_encode(None))
            messages = messages or channel.receive()
            while messages:
                answers = apply(state, [operation for message in messages for operation in _decode(message)])
                channel.send(_encode(answers))
                messages = channel.receive()


def open_state(options: Mapping[str, Any]) -> State:
    """Takes and opens the file.

    Raises:
        StoreError: it cannot be had.
    """
    path = Path(options["path"])
    operator = options["operator"]
    if not operator:
        # The descriptor is never closed here: the lock is this process's for as long as it lives.
        lock(path, os.getppid(), options["lock_wait"])
    database = open_database(path, create=not operator)
    state = State(
        database,
        options["max_queued"],
        max_queued_per_owner=options["max_queued_per_owner"],
        session=options["session"],
        repeats_until=options["repeats_until"],
    )
    if not operator:
        try:
            _put_right(state, options["now"], recover=options["recover"])
        except sqlite3.Error as problem:
            database.close()
            raise StoreUnavailable(f"{path} could not be written: {problem}") from None
    return state


def _put_right(state: State, now: float, *, recover: bool) -> None:
    """What may have happened while nobody looked: the clock was put back, and whoever held a lease has died."""
    state.execute("BEGIN IMMEDIATE")
    state.begin()
    state.put_back(now)
    if recover:
        # Under the lock nobody else is alive: the work of the dead is due now.
        state.execute("UPDATE requests SET due_at = ?1, updated_at = ?1 WHERE status = 'PROCESSING'", (now,))
    state.execute("COMMIT")


def apply(state: State, operations: list[list[Any]]) -> Answers:
    """Does all operations in one transaction; when it fails, each in its own, so that only the broken one fails."""
    reading = all(kind >= FIRST_READ for _, kind, _, _ in operations)
    try:
        state.execute("BEGIN" if reading else "BEGIN IMMEDIATE")
        return _transaction(state, operations)
    except Exception as problem:  # noqa: BLE001 - whatever one of them raises, the others and the writer go on
        # Where not even the transaction began (another process holds the file), none of them would fare better alone.
        if len(operations) == 1 or _is_busy(problem):
            return [(number, BROKEN, _reason(problem)) for number, _, _, _ in operations]
    return [answer for operation in operations for answer in apply(state, [operation])]


def _transaction(state: State, operations: list[list[Any]]) -> Answers:
    begun = False
    try:
        state.begin()
        begun = True
        answers: Answers = []
        for number, kind, now, arguments in operations:
            again = number <= state.repeats_until
            if kind < FIRST_READ:
                state.at(now)
            try:
                answers.append((number, DONE, OPERATIONS[kind](state, number, again, now, *arguments)))
            except TransitionRefused as refusal:
                answers.append((number, REFUSED, str(refusal)))
        state.execute("COMMIT")
    except BaseException:
        if begun:
            state.undo()
        # SQLite has ended the transaction by itself where its error left it no choice (a full disk, for one).
        if state.database.in_transaction:
            state.execute("ROLLBACK")
        raise
    return answers


def _is_busy(problem: Exception) -> bool:
    return isinstance(problem, sqlite3.OperationalError) and problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _reason(problem: Exception) -> str:
    return str(problem) if isinstance(problem, sqlite3.Error) else f"{type(problem).__name__}: {problem}"
