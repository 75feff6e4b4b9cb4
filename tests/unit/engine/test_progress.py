"""Reports: thinned, in order, and none of them after the end."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.records import SEQ_STRIDE, first_seq
from streamer.engine.progress import AttemptReporter, ProgressPump
from streamer.testing import ManualClock
from streamer.testing.clock import settle


class Emitted(list):
    async def __call__(self, _reporter, update, seq):
        self.append((seq, update.percentage, update.message))


@pytest.fixture
def emitted():
    return Emitted()


@pytest.fixture
async def pump(emitted):
    return ProgressPump(emitted, interval=0.1, clock=ManualClock())


@given(st.lists(st.floats() | st.integers() | st.booleans() | st.decimals(allow_nan=False), max_size=20))
def test_percentages_stay_within_0_and_100_and_never_fall(reports):
    async def run():
        reporter = AttemptReporter(ProgressPump(Emitted(), interval=0, clock=ManualClock()), None, 1)
        seen = []
        for report in reports:
            reporter.report(report)
            seen.append(reporter.latest.percentage)
        return seen

    seen = asyncio.run(run())
    assert seen == sorted(seen)
    assert all(type(percentage) is float and 0 <= percentage <= 100 for percentage in seen)


@pytest.mark.parametrize("huge", [10**400, float("inf"), Decimal("1e999")])
async def test_a_huge_percentage_is_100(pump, huge):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(huge)
    assert reporter.latest.percentage == 100.0


async def test_a_message_may_be_anything_and_comes_out_as_text(pump, emitted):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(1, 5)
    reporter.report(2, "a name of a file: \udcff")
    await pump.flush(reporter)
    assert [message for _, _, message in emitted] == ["5", "a name of a file: ?"]


async def test_numbers_begin_where_the_claim_begins(pump, emitted):
    reporter = AttemptReporter(pump, None, 3)
    reporter.report(1)
    await pump.flush(reporter)
    assert emitted[0][0] == first_seq(3) + 1 == 2 * SEQ_STRIDE + 1
    assert reporter.seq == emitted[0][0]


async def test_a_report_that_was_sent_is_not_sent_again(pump, emitted):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(10)
    await pump.flush(reporter)
    await pump.flush(reporter)
    assert len(emitted) == 1


async def test_nothing_is_sent_of_a_reporter_that_has_closed(pump, emitted):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(10)
    reporter.close()
    reporter.report(20)
    await pump.flush(reporter)
    assert (emitted, reporter.latest.percentage, dict(pump.dirty)) == ([], 10.0, {})


async def test_a_threads_report_that_is_marked_after_the_end_is_not_sent(pump, emitted):
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(10)
    reporter.close()
    # The thread was between its two steps when the attempt ended.
    pump.mark(reporter)
    await pump.flush(reporter)
    assert (emitted, dict(pump.dirty)) == ([], {})


async def test_a_report_is_not_overtaken_while_another_is_being_sent():
    gate = asyncio.Event()
    order = []

    async def slow(_reporter, update, seq):
        await gate.wait()
        order.append((seq, update.percentage))

    pump = ProgressPump(slow, interval=0, clock=ManualClock())
    reporter = AttemptReporter(pump, None, 1)
    reporter.report(10)
    reporter.report(20)
    first = asyncio.create_task(pump.flush(reporter))
    await settle()
    reporter.report(30)
    second = asyncio.create_task(pump.flush(reporter))
    await settle()
    gate.set()
    await asyncio.gather(first, second)
    assert order == [(1, 10.0), (2, 20.0), (3, 30.0)]


async def test_a_tight_loop_in_a_thread_wakes_the_loop_once(pump, emitted, monkeypatch):
    reporter = AttemptReporter(pump, None, 1)
    calls = []
    loop = asyncio.get_running_loop()
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(pump._loop, "call_soon_threadsafe", lambda *args: (calls.append(args), wake(*args)))
    thread = threading.Thread(target=lambda: [reporter.report(number / 10) for number in range(1000)])
    thread.start()
    thread.join()
    assert len(calls) == 1
    sending = asyncio.create_task(pump.run())
    await settle()
    assert [percentage for _, percentage, _ in emitted] == [0.0, 99.9]
    sending.cancel()
