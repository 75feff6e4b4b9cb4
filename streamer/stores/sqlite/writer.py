"""The writer process: everything that has arrived goes into one transaction, and is answered once that is on disk."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from streamer.children.child import Channel
from streamer.core.errors import StoreError, TransitionRefused
from streamer.stores.sqlite.database import lock, open_database
from streamer.stores.sqlite.operations import OPERATIONS, State

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

DONE = 0
REFUSED = 1
BROKEN = 2


def main(channel: Channel) -> None:
    """Opens the file as the first message says, then serves until the parent is gone."""
    opening, *rest = channel.receive()
    options = _decode(opening)
    path = Path(options["path"])
    try:
        held = None if options["operator"] else lock(path, os.getppid())
        database = open_database(path, create=not options["operator"])
    except (StoreError, OSError) as problem:
        channel.send(_encode([type(problem).__name__, str(problem)]))
        return
    state = State(database, options["max_queued"])
    if held is not None and options["recover"]:
        # Under the lock nobody else is alive, so whoever held a lease is dead: their work is due now.
        database.execute(
            "UPDATE requests SET due_at = ?, updated_at = ? WHERE due_at IS NOT NULL AND status = 'PROCESSING'",
            (options["now"], options["now"]),
        )
    channel.send(_encode(None))
    frames: list[bytes] = rest or channel.receive()
    while frames:
        answers = apply(state, [operation for frame in frames for operation in _decode(frame)])
        channel.send(_encode(answers))
        frames = channel.receive()
    database.close()


def apply(state: State, operations: list[list[Any]]) -> list[list[Any]]:
    """Does all operations in one transaction; when it fails, each in its own, so that only the broken one fails."""
    try:
        return _transaction(state, operations)
    except sqlite3.Error as problem:
        if len(operations) == 1:
            return [[operations[0][0], BROKEN, str(problem)]]
    answers: list[list[Any]] = []
    for operation in operations:
        try:
            answers += _transaction(state, [operation])
        except sqlite3.Error as problem:
            answers.append([operation[0], BROKEN, str(problem)])
    return answers


def _transaction(state: State, operations: list[list[Any]]) -> list[list[Any]]:
    database = state.database
    kinds = set(state.kinds)
    try:
        database.execute("BEGIN IMMEDIATE")
        state.refresh()
        queued = state.queued
        answers = []
        for number, kind, token, again, now, arguments in operations:
            try:
                answers.append([number, DONE, OPERATIONS[kind](state, token, again, now, *arguments)])
            except TransitionRefused as refusal:
                answers.append([number, REFUSED, str(refusal)])
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
            state.queued = queued
            state.kinds = kinds
        raise
    return answers
