"""The client's state machine: the traces that both clients share, and what holds for every sequence of events."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from client_traces import paths, play
from client_traces.walks import World, walk

from streamer.client import machine
from streamer.client.machine import Options, State, events, next_state
from streamer.client.machine.state import MOST_SHARED
from streamer.client.machine.table import Table


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_a_trace_is_answered_as_it_is_written(path):
    trace = json.loads(path.read_text())
    steps = play(trace["options"], [step["event"] for step in trace["steps"]])
    for played, written in zip(steps, trace["steps"], strict=True):
        assert played == written


@pytest.mark.parametrize("seed", range(0, 300, 50))
def test_no_sequence_opens_two_connections_forgets_a_request_ends_one_twice_or_waits_without_end(seed):
    for each in range(seed, seed + 50):
        walk(each)


@pytest.mark.parametrize("refused", [True, False])
def test_requests_that_are_never_alone_are_given_up_in_the_end(refused):
    world = World(Options())
    for name in ("a", "b"):
        world.happens(events.Submitted(name))
    for breaks in range(1, MOST_SHARED + 1):
        assert world.waiting == {"a", "b"}, breaks
        world.happens(events.Due(world.state.epoch))
        world.happens(events.Opened(world.state.epoch))
        if world.state.awaited is not None:
            # The first one is not answered in its turn, so that both are under way again.
            world.happens(events.TurnOver(world.state.epoch, world.state.suspect))
        if world.state.awaited is not None:
            world.happens(events.TurnOver(world.state.epoch, world.state.suspect))
        world.happens(events.Ended(world.state.epoch, 1009 if refused else 1006, refused=refused))
    assert world.waiting == set()


def test_of_those_that_were_never_alone_the_ones_that_are_not_stored_are_the_cause():
    world = World(Options())
    world.happens(events.Submitted("stored", stored=True))
    world.happens(events.Submitted("direct"))
    for _ in range(MOST_SHARED):
        world.happens(events.Due(world.state.epoch))
        world.happens(events.Opened(world.state.epoch))
        while world.state.awaited is not None:
            world.happens(events.TurnOver(world.state.epoch, world.state.suspect))
        world.happens(events.Ended(world.state.epoch, 1009, refused=True))
    assert world.waiting == {"stored"}


def test_delays_double_up_to_the_longest():
    world, delays = World(Options(longest=3000)), []
    world.happens(events.Submitted("a"))
    for _ in range(40):
        world.happens(events.Due(world.state.epoch))
        step = world.happens(events.Failed(world.state.epoch))
        delays.append(step["effects"][-1]["longest"])
    assert delays[:4] == [500, 1000, 2000, 3000]
    assert set(delays[3:]) == {3000}


def test_a_table_is_not_changed_by_what_is_made_of_it():
    first = Table({"a": 1})
    second = first.put("b", 2)
    third = second.without("a").put("b", 3)
    assert list(third) == [3]
    assert ("a" in first, "b" in first, len(first)) == (True, False, 1)
    assert sorted(second) == [1, 2]
    fourth = first.put("c", 4)
    assert (sorted(fourth), sorted(first), third.get("a")) == ([1, 4], [1], None)


def test_the_state_machine_takes_a_request_in_a_time_that_does_not_grow_with_those_under_way():
    """Counted in copies: a state that holds ten thousand requests is not copied for the next one."""
    state, _ = next_state(State(), events.Connect())
    state, _ = next_state(state, events.Opened(1))
    for number in range(3):
        state, _ = next_state(state, events.Submitted(f"r{number}"))
    held = state.requests._all()
    state, _ = next_state(state, events.Submitted("one more"))
    assert state.requests._all() is held


HERE = Path(machine.__file__).parent
THERE = HERE.parent / "js" / "src"


def in_javascript(name):
    first, *others = name.strip("_").split("_")
    return first + "".join(other.capitalize() for other in others)


@pytest.mark.parametrize("module", ["blame", "sending", "ends", "answers", "transitions", "state"])
def test_the_javascript_client_has_the_same_functions_and_limits_in_the_same_places(module):
    here, there = (HERE / f"{module}.py").read_text(), (THERE / f"{module}.js").read_text()
    functions = [in_javascript(name) for name in re.findall(r"^def (\w+)", here, re.MULTILINE)]
    declared = re.findall(r"^(?:export )?(?:function (\w+)|const (\w+) = \()", there, re.MULTILINE)
    # Those that make a record, or part of one, are methods of the records' classes here.
    made = {"newRequest", "newBreak", "newState", "replace"}
    assert sorted(functions) == sorted({one or other for one, other in declared} - made)
    limit = r"^(?:export const )?([A-Z_]+)(?:: Final)? = ([\d_]+)"
    numbers = [dict(re.findall(limit, text, re.MULTILINE)) for text in (here, there)]
    assert numbers[0] == numbers[1]
