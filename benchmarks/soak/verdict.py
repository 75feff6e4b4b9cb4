"""What the file says at the end, held against what was seen on the way."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from pathlib import Path

from benchmarks.soak.people import Person
from benchmarks.soak.wire import Wire
from streamer.core.attempts import MAX_HISTORY
from streamer.core.owners import OWNER_KEY, OwnerNames

TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")


def judge(database: Path, wire: Wire, people: list[Person]) -> tuple[Counter[str], list[str]]:
    """How many requests the file has in each state, and everything that is not as it must be."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as file:
        rows = file.execute("SELECT owner, id, status, attempts, history, delivered_at FROM requests").fetchall()
        (key,) = file.execute("SELECT value FROM kept WHERE name = ?", (OWNER_KEY,)).fetchone()
    # The file has no client's secret; whose a request is, only the service's own key says.
    names = OwnerNames(key)
    clients = {names.client(client_id): client_id for client_id in _known(wire, people)}
    records = {(clients.get(owner, owner), request_id): status for owner, request_id, status, *_ in rows}
    problems = [
        f"{request_id} is {status} after {attempts} attempts, and its history says {history}"
        for _, request_id, status, attempts, history, _ in rows
        if not _accounts_for(status, attempts, json.loads(history or "[]"))
    ]
    if len(records) != len(rows):
        problems.append(f"{len(rows) - len(records)} requests have more than one record")
    problems += [
        f"{request_id} of {owner} counts as delivered, and its owner never received it"
        for owner, request_id, *_, delivered_at in rows
        if delivered_at is not None and (clients.get(owner, owner), request_id) not in wire.received
    ]
    states = Counter(records.values())
    for key, story in wire.stories.items():
        status = records.get(key)
        if story.acknowledged and status not in TERMINAL:
            problems.append(f"{key[1]} of {key[0][:12]} was acknowledged, and is {status}: {story.seen}")
        if story.terminal is not None and not _agrees(status, story.terminal):
            problems.append(f"{key[1]} of {key[0][:12]} is {status}, its owner was told {story.terminal}")
    problems += [
        f"{request_id} of {owner[:12]} was never acknowledged, and is {status}"
        for (owner, request_id), status in records.items()
        if status not in TERMINAL and not wire.stories[owner, request_id].acknowledged
    ]
    for person in people:
        for request_id, how in person.outcomes.items():
            status = records.get((person.client_id, request_id))
            if status != how:
                problems.append(f"{request_id} is {status}, and {person.client_id[:12]} has it as {how}")
        problems += [
            f"{request_id} ({action}) never ended for {person.client_id[:12]}: "
            f"{records.get((person.client_id, request_id))} {wire.story(person.client_id, request_id).seen}"
            for request_id, action in person.waiting.items()
        ]
    return states, problems


def _known(wire: Wire, people: list[Person]) -> set[str]:
    """Every `client_id` that was used."""
    return {client_id for client_id, _ in wire.stories} | {person.client_id for person in people}


def _accounts_for(status: str, attempts: int, history: list[dict[str, object]]) -> bool:
    """Whether every attempt but the one that completed the request is remembered; what was given back is none."""
    ended = sum(one["outcome"] != "released" for one in history)
    if len(history) >= MAX_HISTORY or status not in ("COMPLETED", "FAILED"):
        return True
    return attempts == ended + (status == "COMPLETED")


def _agrees(status: str | None, told: dict[str, object]) -> bool:
    if told["type"] == "complete":
        return status == "COMPLETED"
    cancelled = isinstance(told["error"], dict) and told["error"]["code"] == "CANCELLED"
    return status == ("CANCELLED" if cancelled else "FAILED")
