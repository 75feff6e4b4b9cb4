"""Token buckets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.buckets import Buckets
from streamer.core.units import Rate


def test_a_full_bucket_gives_its_burst_at_once_and_then_the_rate():
    buckets = Buckets(Rate(60, 60.0), 3)
    assert [buckets.take("a", 100.0) for _ in range(3)] == [0.0] * 3
    assert buckets.take("a", 100.0) == pytest.approx(1.0)
    assert buckets.take("a", 100.5) == pytest.approx(0.5)
    assert buckets.take("a", 101.0) == 0.0
    assert buckets.take("a", 101.0) == pytest.approx(1.0)
    assert buckets.take("b", 101.0) == 0.0


def test_what_is_refused_takes_nothing():
    buckets = Buckets(Rate(1, 10.0), 1)
    assert buckets.take("a", 0.0) == 0.0
    assert {buckets.take("a", 5.0) for _ in range(100)} == {5.0}
    assert buckets.take("a", 10.0) == 0.0


@given(
    st.integers(1, 10**6), st.floats(1e-3, 1e6), st.integers(1, 10**4), st.floats(0, 1e9), st.lists(st.floats(0, 1e3))
)
def test_whoever_waits_as_told_gets_through(limit, period, burst, start, pauses):
    buckets = Buckets(Rate(limit, period), burst)
    now = start
    for pause in pauses:
        now += pause
        wait = buckets.take("a", now)
        if wait:
            now += math.ceil(wait * 1000) / 1000
            assert buckets.take("a", now) == 0.0


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abc"))))
def test_no_more_pass_than_burst_and_rate_allow(takings):
    buckets = Buckets(Rate(2, 1.0), 4)
    now, passed = 0.0, {"a": [], "b": [], "c": []}
    for pause, key in takings:
        now += pause
        if not buckets.take(key, now):
            passed[key].append(now)
    for times in passed.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= 4 + 2 * (times[last] - times[first]) + 1e-3


def test_full_buckets_are_forgotten():
    buckets = Buckets(Rate(1, 1.0), 5)
    for number in range(10_000):
        buckets.take(f"connection {number}", number * 0.1)
    # A bucket that one token was taken from is full after a second: ten have come since.
    assert len(buckets) <= 12


def test_no_more_are_remembered_than_may_be():
    buckets = Buckets(Rate(1, 3600.0), 1, max_keys=100)
    for number in range(1000):
        assert buckets.take(f"{number}", 0.0) == 0.0
    assert len(buckets) == 100
    assert buckets.take("999", 0.0) > 0
    assert buckets.take("0", 0.0) == 0.0


def test_many_may_be_taken_at_once_and_never_more_than_there_are():
    buckets = Buckets(Rate(10, 10.0), 5)
    assert buckets.take("a", 0.0, 3) == 0.0
    assert buckets.take("a", 0.0, 3) == pytest.approx(1.0)
    assert buckets.take("a", 0.0, 2) == 0.0
    assert buckets.take("b", 1e6, 6) > 0
