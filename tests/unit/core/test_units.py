from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.units import Rate, format_duration, format_rate, format_size, parse_duration, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("1m30s", 90), ("2h", 7200), ("7d", 604800), ("1.5s", 1.5), ("10us", 1e-5), ("0s", 0)],
)
def test_durations_are_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-1s", "5x", "1m 30s", "1s!", "x1s", "\u0665s", "1e3s", ".5s"])
def test_what_is_no_duration_is_told_how_to_write_one(text):
    with pytest.raises(ValueError, match="write a number with a unit"):
        parse_duration(text)


def test_a_duration_ends_at_a_hundred_years():
    assert parse_duration("36500d") == 36500 * 86400
    with pytest.raises(ValueError, match="a hundred years"):
        parse_duration("36501d")
    with pytest.raises(ValueError, match="a hundred years"):
        parse_duration("9" * 400 + "d")


@pytest.mark.parametrize(
    ("text", "size"), [("512B", 512), ("128KiB", 131072), ("1.5MB", 1_500_000), ("1 GiB", 2**30), ("2KB", 2000)]
)
def test_sizes_are_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "KiB", "-1B", "5kib", "1  B", "1B "])
def test_what_is_no_size_is_told_how_to_write_one(text):
    with pytest.raises(ValueError, match="as in 128KiB"):
        parse_size(text)


def test_a_rate_is_a_count_in_a_period():
    assert parse_rate("100/1m") == Rate(100, 60)


@pytest.mark.parametrize("text", ["100", "/1m", "x/1m", "1.5/1m", "100/0s", "0/1m"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(text)
    with pytest.raises(ValueError, match="is not a duration"):
        parse_rate("100/x")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90, "1m30s"),
        (0.25, "250ms"),
        (0, "0s"),
        (-1, "0s"),
        (1e-5, "10us"),
        (1e-9, "1e-09s"),
        (86400, "1d"),
        (1.5, "1.5s"),
    ],
)
def test_durations_are_written_the_shortest_way(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(1, 10**6), st.sampled_from(["us", "ms", "s", "m"]))
def test_a_duration_that_was_written_is_read_back(count, unit):
    seconds = parse_duration(f"{count}{unit}")
    # Six significant digits of the last part are what it promises.
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1, "1B"), (1024, "1KiB"), (131072, "128KiB"), (2**30, "1GiB"), (1000, "1000B")]
)
def test_sizes_are_written_in_the_largest_unit_that_divides_them(size, text):
    assert format_size(size) == text
    assert parse_size(text) == size


def test_a_size_beyond_every_file_is_refused():
    with pytest.raises(ValueError, match="larger than any file"):
        parse_size("9" * 400 + "GiB")


@pytest.mark.parametrize("text", ["100/1m", "1/1s", "50/250ms", "7/1m30s"])
def test_a_rate_is_written_as_it_is_read(text):
    assert format_rate(parse_rate(text)) == text


def test_a_rate_beyond_all_measure_is_refused():
    assert parse_rate(f"{2**63 - 1}/1s").limit == 2**63 - 1
    with pytest.raises(ValueError, match="too large a rate"):
        parse_rate(f"{2**63}/1s")


@pytest.mark.parametrize("read", [parse_duration, parse_size, parse_rate])
@pytest.mark.parametrize("text", ["9" * 200_000, "1." + "9" * 200_000, "1ms" * 60_000 + "9", "9" * 200_000 + "x"])
def test_a_long_text_is_read_once(read, text):
    # Looked at from each of its digits again, it would take hours.
    with pytest.raises(ValueError, match=r"is not a|longer than|larger than"):
        read(text)
