"""Whose turn it is, of what an index shows. Without any DynamoDB."""

from __future__ import annotations

from collections import Counter

from streamer.core.records import Status
from streamer.queue.fairness import Capacity, FairKey
from streamer_aws.store import candidates
from streamer_aws.store.candidates import Entry, Turns, choose


def entry(owner, number, **changes):
    values = {
        "owner": owner,
        "id": f"r{number}",
        "place": f"{owner}{number}",
        "action": "work",
        "priority": 0,
        "tenant": "",
        "number": number,
        "status": Status.PENDING,
        "fence": 0,
        "attempts": 0,
        "max_attempts": 3,
        "due_at": 0.0,
        "expires_at": None,
    }
    return Entry(**{**values, **changes})


def test_owners_take_turns_and_each_ones_oldest_goes_first():
    waiting = [entry("a", n) for n in (5, 1, 3)] + [entry("b", n) for n in (4, 2)]
    chosen = choose(waiting, 10, Capacity(None, None, None), Turns(), 100.0)
    assert [one.number for one in chosen] == [1, 2, 3, 4, 5]


def test_whoever_was_served_goes_behind_all_who_wait_by_then():
    turns = Turns()
    turns.served(FairKey("work", 0, "", "a"), 50)
    waiting = [entry("a", 1), entry("b", 40), entry("c", 60)]
    chosen = choose(waiting, 3, Capacity(None, None, None), turns, 100.0)
    assert [one.owner for one in chosen] == ["b", "a", "c"]


def test_what_lost_its_worker_goes_first():
    expired = entry("b", 9, status=Status.PROCESSING)
    assert choose([entry("a", 1), expired], 1, Capacity(None, None, None), Turns(), 100.0) == [expired]
    assert choose([entry("a", 1, priority=1), expired], 1, Capacity(None, None, None), Turns(), 100.0) != [expired]


def test_a_process_remembers_no_more_turns_than_it_may(monkeypatch):
    monkeypatch.setattr(candidates, "REMEMBERED", 30)
    turns = Turns()
    for n in range(1000):
        turns.served(FairKey("work", 0, "", f"o{n}"), n)
    assert len(turns._served) == 30


def test_what_is_due_what_is_exhausted_and_what_expired():
    running = entry("a", 1, status=Status.PROCESSING, attempts=3, due_at=50.0, expires_at=10.0)
    assert (running.due(49.0), running.due(50.0), running.exhausted) == (False, True, True)
    assert (running.expired(49.0), running.expired(50.0)) == (False, True)
    waiting = entry("a", 1, due_at=50.0, expires_at=60.0)
    assert waiting.due(0.0), "what is PENDING is due whatever it says"
    assert not entry("a", 1, status=Status.RETRYING, due_at=50.0).due(49.0)
    assert (waiting.expired(59.0), waiting.expired(60.0), waiting.exhausted) == (False, True, False)
    assert not entry("a", 1).expired(1e9)


def test_turns_are_counted_over_many_claims():
    turns, served = Turns(), Counter()
    waiting = [entry(owner, n) for owner, count in (("a", 50), ("b", 10), ("c", 1)) for n in range(count)]
    for clock in range(20):
        (one,) = choose(waiting, 1, Capacity(None, None, None), turns, 100.0)
        waiting.remove(one)
        turns.served(one.line, 1000 + clock)
        served[one.owner] += 1
    assert served == {"a": 10, "b": 9, "c": 1}
