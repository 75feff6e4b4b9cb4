"""Counting: buckets, and labels that no client can add to."""

import pytest

from streamer.admin.counters import OTHER, UNKNOWN, Counts, Histogram


@pytest.mark.parametrize(
    ("value", "counts"), [(-1.0, [1, 0, 0]), (0.0, [1, 0, 0]), (1.0, [1, 0, 0]), (1.5, [0, 1, 0]), (9.0, [0, 0, 1])]
)
def test_a_value_is_in_the_first_bucket_whose_bound_it_does_not_pass(value, counts):
    histogram = Histogram((1.0, 2.0))
    histogram.add(value)
    assert histogram.counts == counts
    assert histogram.sum == max(value, 0.0)


def test_actions_that_are_not_declared_share_one_label():
    counts = Counts()
    counts.declare(["echo"])
    for number in range(10_000):
        counts.of(f"made-up-{number}").stored += 1
        counts.failed(f"made-up-{number}", f"CODE_{number}")
    assert counts.of("anything") is counts.of(UNKNOWN)
    assert counts.of(UNKNOWN).stored == 10_000
    assert counts.errors == {(UNKNOWN, OTHER): 10_000}
    assert {name for name, _ in counts.declared()} == {"echo", UNKNOWN}


def test_actions_of_the_service_and_unknown_ones_are_shown_once_something_was_counted():
    counts = Counts()
    counts.declare(["echo", "streamer.list"])
    assert [name for name, _ in counts.declared()] == ["echo"]
    counts.of("streamer.list").direct_completed += 1
    assert [name for name, _ in counts.declared()] == ["echo", "streamer.list"]
    assert [name for name, _ in counts.queueable()] == ["echo"]
