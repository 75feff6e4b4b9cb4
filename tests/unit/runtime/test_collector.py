"""The collector of cyclic garbage in a process that serves."""

from __future__ import annotations

import gc

import pytest

from streamer.runtime.collector import YOUNG, leave_alone_what_exists


@pytest.fixture(autouse=True)
def as_before():
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_a_start_made_is_not_gone_through_again():
    made = [[] for _ in range(100)]
    leave_alone_what_exists()
    assert gc.get_freeze_count() > len(made)
    assert gc.get_threshold()[0] == YOUNG


def test_what_is_made_later_is_collected_as_ever():
    leave_alone_what_exists()
    cycle = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
