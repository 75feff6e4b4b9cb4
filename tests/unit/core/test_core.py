"""Words: errors, units, the clock, ids, stepping."""

from __future__ import annotations

import asyncio
import os
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.clock import SystemClock, timestamp
from streamer.core.errors import CODES, ConfigError, Error
from streamer.core.ids import new_id
from streamer.core.messages import SILENT
from streamer.core.stepping import EnterTask, Resumed
from streamer.core.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)


class TestErrors:
    def test_the_code_says_whether_a_retry_may_help_unless_the_raiser_does(self):
        assert Error("TIMEOUT", "x").retryable
        assert not Error("VALIDATION_ERROR", "x").retryable
        assert not Error("TIMEOUT", "x", retryable=False).retryable
        assert len(CODES) == 11

    def test_details_can_be_chained(self):
        error = Error("A", "b").with_detail("x", 1).with_detail("y", 2)
        assert error.details == {"x": 1, "y": 2}
        assert str(error) == "b"

    def test_an_error_survives_the_way_to_another_process(self):
        error = Error("A", "b", {"c": [1]}, retryable=True)
        assert pickle.loads(pickle.dumps(error)) == error
        assert error != Error("A", "b")
        assert error != "b"
        assert "'A'" in repr(error)
        assert len({error, error}) == 1

    def test_a_wrong_file_prints_one_line_per_problem(self):
        assert str(ConfigError(["one", "two"])) == "one\ntwo"


class TestUnits:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("250ms", 0.25), ("5s", 5), ("1m30s", 90), ("7d", 604800), ("1.5h", 5400), ("10us", 1e-5)]
    )
    def test_durations_have_units(self, text, seconds):
        assert parse_duration(text) == pytest.approx(seconds)

    @pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-1s", "1s2", "1e3s", "5S", "200000d", "٣s", "1..5s"])
    def test_what_is_no_duration_says_how_to_write_one(self, text):
        with pytest.raises(ValueError, match="duration|hundred years"):
            parse_duration(text)

    @pytest.mark.parametrize(
        ("text", "size"), [("512B", 512), ("128KiB", 131072), ("1.5MB", 1_500_000), ("1 GiB", 2**30)]
    )
    def test_sizes_have_units(self, text, size):
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "5", "5kb", "KiB", "-1B"])
    def test_what_is_no_size_says_how_to_write_one(self, text):
        with pytest.raises(ValueError, match="size"):
            parse_size(text)

    def test_rates_are_a_count_and_a_period(self):
        assert parse_rate("100/1m") == (100, 60.0)
        for wrong in ("100", "0/1m", "1/0s", "x/1m", "1/5"):
            with pytest.raises(ValueError, match="rate|duration"):
                parse_rate(wrong)

    @given(st.integers(0, 10**9))
    def test_what_is_written_is_read_back(self, milliseconds):
        assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)

    @given(st.integers(0, 2**50))
    def test_sizes_are_read_back_exactly(self, size):
        assert parse_size(format_size(size)) == size

    def test_durations_are_written_short(self):
        assert [format_duration(value) for value in (0, 1e-5, 0.25, 0.2505, 90, 3600, 1.25e-7)] == [
            "0s", "10us", "250ms", "250500us", "1m30s", "1h", "1.25e-07s",
        ]  # fmt: skip


def test_times_are_written_in_utc_with_milliseconds():
    assert timestamp(0.0015) == "1970-01-01T00:00:00.001Z"
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp(clock.now()))


def test_ids_are_unique_sort_by_time_and_differ_between_a_process_and_its_fork():
    ids = [new_id("x_") for _ in range(10_000)]
    assert len(set(ids)) == 10_000
    assert all(one.startswith("x_") for one in ids)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_id("x_").encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 100).decode()
    ours = new_id("x_")
    assert theirs[13:25] != ours[13:25]


def test_the_silent_reporter_takes_everything_and_says_nothing():
    SILENT.report(50, "half", rows=1)
    SILENT.set_metadata("k", 1)


class TestStepping:
    async def test_a_coroutine_goes_on_where_it_was_left(self):
        gates = [asyncio.get_running_loop().create_future() for _ in range(2)]

        async def work():
            return [await gate for gate in gates]

        coroutine = work()
        rest = Resumed(coroutine, coroutine.send(None))
        task = asyncio.create_task(_await(rest))
        for number, gate in enumerate(gates):
            gate.set_result(number)
        assert await task == [0, 1]

    async def test_a_cancellation_reaches_the_coroutine(self):
        seen = []

        async def work():
            try:
                await asyncio.Event().wait()
            finally:
                seen.append("ended")

        coroutine = work()
        task = asyncio.create_task(_await(Resumed(coroutine, coroutine.send(None))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["ended"]

    async def test_entering_a_task_gives_way_once(self):
        async def work():
            await EnterTask()
            return asyncio.current_task()

        coroutine = work()
        task = asyncio.create_task(_await(Resumed(coroutine, coroutine.send(None))))
        assert await task is task


async def _await(awaitable):
    return await awaitable
