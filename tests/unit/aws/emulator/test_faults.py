"""Faults happen when, and as often as, they were asked for."""

from __future__ import annotations

import pytest

from streamer_aws.emulator.faults import Fault, Faults


def test_a_fault_happens_as_often_as_it_was_asked_for():
    faults = Faults()
    faults.plan("gone", count=2)
    assert [faults.take(Fault.GONE, "a") is not None for _ in range(3)] == [True, True, False]
    assert faults.happened == {Fault.GONE: 2}


def test_a_fault_without_a_count_happens_until_it_is_cleared():
    faults = Faults()
    faults.plan(Fault.GONE, count=None)
    assert all(faults.take(Fault.GONE, "a") for _ in range(100))
    faults.clear()
    assert faults.take(Fault.GONE, "a") is None


def test_a_fault_happens_to_its_subject_only():
    faults = Faults()
    faults.plan(Fault.THROTTLED, subject="UpdateItem")
    assert faults.take(Fault.THROTTLED, "PutItem") is None
    assert faults.take(Fault.CONFLICT, "UpdateItem") is None
    assert faults.take(Fault.THROTTLED, "UpdateItem")


def test_a_share_takes_about_that_part_and_the_same_with_the_same_seed():
    def taken(seed):
        faults = Faults(seed)
        faults.plan(Fault.GONE, count=None, share=0.25)
        return [faults.take(Fault.GONE, "") is not None for _ in range(1000)]

    assert taken(1) == taken(1)
    assert 200 < sum(taken(1)) < 300


@pytest.mark.parametrize(
    "wrong",
    [
        {"fault": "no"},
        {"fault": "gone", "count": 0},
        {"fault": "gone", "count": True},
        {"fault": "gone", "count": "1"},
        {"fault": "gone", "share": 0},
        {"fault": "gone", "share": 1.1},
        {"fault": "gone", "share": True},
        {"fault": "gone", "after": "1"},
        {"fault": "gone", "after": -1},
        {"fault": "gone", "after": 901},
        {"fault": "gone", "when": 1},
        {"count": 1},
        "gone",
    ],
)
def test_what_is_no_fault_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        Faults().plan_described(wrong)
