from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.records import SEQ_STRIDE
from streamer.engine.progress import AttemptReporter, ProgressPump
from streamer.testing import ManualClock
from streamer.testing.clock import settle


class Sent:
    """What a pump emits; each call waits at the gate while there is one."""

    def __init__(self):
        self.updates = []
        self.gate = None

    async def emit(self, reporter, update, seq):
        if self.gate is not None:
            await self.gate.wait()
        self.updates.append((seq, update.percentage, update.message, update.metadata))

    @property
    def percentages(self):
        return [percentage for _, percentage, _, _ in self.updates]


@pytest.fixture
async def clock():
    return ManualClock()


@pytest.fixture
async def sent():
    return Sent()


@pytest.fixture
async def pump(clock, sent):
    made = ProgressPump(sent.emit, interval=0.1, clock=clock)
    running = asyncio.create_task(made.run())
    await settle()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_first_and_the_newest_go_out_and_what_lies_between_does_not(pump, sent, clock):
    reporter = AttemptReporter(pump, None, 1)
    for percentage in range(0, 100, 10):
        reporter.report(percentage)
    await settle()
    assert sent.percentages == [0, 90]
    reporter.report(95)
    reporter.report(100)
    await settle()
    assert sent.percentages == [0, 90]
    await clock.advance(0.1)
    assert sent.percentages == [0, 90, 100]


async def test_a_first_report_after_other_requests_reports_is_its_attempts_first_all_the_same(pump, sent, clock):
    one, two = AttemptReporter(pump, None, 1), AttemptReporter(pump, None, 1)
    one.report(1)
    await settle()
    two.report(2)
    two.report(3)
    await clock.advance(0.1)
    assert sent.percentages == [1, 2, 3]


async def test_a_flush_sends_what_is_held_at_once_and_only_once(pump, sent):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(50)
    await pump.flush(reporter)
    await pump.flush(reporter)
    await settle()
    assert sent.percentages == [50]


async def test_numbers_rise_from_the_claims_own_range(pump, sent, clock):
    reporter = AttemptReporter(pump, None, 3)
    assert reporter.seq == 2 * SEQ_STRIDE
    reporter.report(1)
    reporter.report(2)
    await settle()
    assert [seq for seq, *_ in sent.updates] == [2 * SEQ_STRIDE + 1, 2 * SEQ_STRIDE + 2]
    assert reporter.next_seq() == 2 * SEQ_STRIDE + 3


@given(st.lists(st.floats() | st.integers(), min_size=1))
def test_percentages_are_finite_within_bounds_and_never_fall(percentages):
    async def reported():
        reporter = AttemptReporter(ProgressPump(None, interval=0.1, clock=ManualClock()), None, 1)
        seen = []
        for percentage in percentages:
            reporter.report(percentage)
            seen.append(reporter.latest.percentage)
        return seen

    seen = asyncio.run(reported())
    assert all(0.0 <= value <= 100.0 and isinstance(value, float) for value in seen)
    assert seen == sorted(seen)


async def test_metadata_of_a_report_stands_beside_what_was_set_before(pump, sent):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(1)
    reporter.set_metadata("rows", 5)
    reporter.report(2, "two", step=1)
    reporter.set_metadata("rows", 6)
    await settle()
    assert [metadata for *_, metadata in sent.updates] == [None, {"rows": 5, "step": 1}]


async def test_a_name_that_is_no_utf8_is_reported_with_question_marks(pump, sent):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(1, "caf\udce9.csv é")
    reporter.report(2, 17)
    await settle()
    assert [message for _, _, message, _ in sent.updates] == ["caf?.csv é", "17"]


async def test_a_closed_reporter_is_silent_whatever_it_held(pump, sent):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(1)
    reporter.close()
    reporter.report(2)
    reporter.set_metadata("a", 1)
    await settle()
    await pump.flush(reporter)
    assert sent.updates == []


async def test_a_thread_that_was_late_by_a_hair_is_not_heard_after_the_end(pump, sent):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(1)
    reporter.close()
    # What a thread does between its report and its mark may come after the end.
    pump.mark(reporter)
    await settle()
    assert sent.updates == []


async def test_a_thread_between_its_report_and_its_mark_keeps_its_first_report(pump, sent, monkeypatch):
    reporter = AttemptReporter(pump, None, 1)
    monkeypatch.setattr(pump, "mark", lambda _reporter: None)
    reporter.report(1)
    assert reporter.take() == []
    monkeypatch.undo()
    reporter.report(2)
    await settle()
    assert sent.percentages == [1, 2]


async def test_reports_of_one_request_do_not_overtake_each_other(pump, sent, clock):
    reporter = AttemptReporter(pump, None, 1)
    sent.gate = asyncio.Event()
    reporter.report(10)
    await settle()
    reporter.report(90)
    flushing = asyncio.create_task(pump.flush(reporter))
    await settle()
    assert not flushing.done()
    sent.gate.set()
    await flushing
    assert [(seq, percentage) for seq, percentage, *_ in sent.updates] == [(1, 10), (2, 90)]


async def test_threads_may_report_as_they_like(pump, sent, clock):
    reporter = AttemptReporter(pump, None, 1)

    def work():
        for percentage in range(101):
            reporter.report(percentage)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One wake-up was asked for by all of them together.
    await settle()
    assert sent.percentages == [0, 100]
    reporter.report(100, "again")
    await clock.advance(0.1)
    assert sent.updates[-1][:3] == (3, 100, "again")
