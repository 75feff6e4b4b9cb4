"""The built-in middlewares."""

from __future__ import annotations

import asyncio

import pytest

from streamer.contracts.components import BuildContext
from streamer.core.errors import Error
from streamer.core.messages import Request, Result
from streamer.middlewares.access_log import AccessLog
from streamer.middlewares.components import components
from streamer.middlewares.limits import Limits, deeper_than
from streamer.middlewares.timeout import Timeout
from streamer.testing import ManualClock, RecordingLogger

REQUEST = Request(id="r", action="a", connection_id="c")


def ends_with(value, clock=None, seconds=0.0):
    async def run(_request):
        if clock is not None:
            await clock.advance(seconds)
        if isinstance(value, BaseException):
            raise value
        return value

    return run


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (Result(data=1), "ok"),
        (Result(success=False), "failed"),
        (Result(success=False, error=Error("HALF", "half")), "HALF"),
        (Error("BUSY", "busy"), "BUSY"),
        (KeyError("x"), "INTERNAL_ERROR"),
        (asyncio.CancelledError(), "INTERNAL_ERROR"),
    ],
)
async def test_each_outcome_is_one_line_with_ids_and_duration(value, outcome):
    clock, logger = ManualClock(), RecordingLogger()
    log = AccessLog(clock=clock, logger=logger)
    if isinstance(value, BaseException):
        with pytest.raises(type(value)):
            await log.process(REQUEST, ends_with(value, clock, 1.5))
    else:
        assert await log.process(REQUEST, ends_with(value, clock, 1.5)) is value
    assert [line.fields for line in logger.lines] == [
        {
            "action": "a",
            "request_id": "r",
            "connection_id": "c",
            "queued": False,
            "attempt": 1,
            "outcome": outcome,
            "duration_ms": 1500.0,
        }
    ]


async def test_quick_successes_may_be_left_out_but_never_failures():
    clock, logger = ManualClock(), RecordingLogger()
    log = AccessLog(clock=clock, logger=logger, slower_than=1.0)
    await log.process(REQUEST, ends_with(Result(), clock, 0.5))
    assert logger.lines == []
    await log.process(REQUEST, ends_with(Result(), clock, 1.0))
    with pytest.raises(Error):
        await log.process(REQUEST, ends_with(Error("BUSY", "busy")))
    assert [line.fields["outcome"] for line in logger.lines] == ["ok", "BUSY"]


class TestTimeout:
    async def test_what_is_in_time_is_untouched(self):
        async def gives_way(_request):
            await asyncio.sleep(0)
            return Result(data=2)

        assert (await Timeout(limit=60).process(REQUEST, ends_with(Result(data=1)))).data == 1
        assert (await Timeout(limit=60).process(REQUEST, gives_way)).data == 2

    async def test_what_is_late_ends_with_its_limit_in_words(self):
        async def waits(_request):
            await asyncio.Event().wait()

        with pytest.raises(Error, match="longer than 10ms") as late:
            await Timeout(limit=0.01).process(REQUEST, waits)
        assert (late.value.code, late.value.retryable) == ("TIMEOUT", True)

    async def test_a_timeout_error_of_the_handlers_own_passes(self):
        async def own(_request):
            await asyncio.sleep(0)
            raise TimeoutError("mine")

        with pytest.raises(TimeoutError, match="mine"):
            await Timeout(limit=60).process(REQUEST, own)

    async def test_queued_requests_have_a_limit_of_their_own(self):
        async def waits(_request):
            await asyncio.sleep(0.03)
            return Result(data="done")

        queued = Request(id="r", action="a", queued=True)
        assert (await Timeout(limit=0.001).process(queued, waits)).data == "done"
        with pytest.raises(Error):
            await Timeout(limit=60, queued_limit=0.001).process(queued, waits)


class TestLimits:
    async def admit(self, limits, payload):
        admitted = []

        async def next_one(request):
            admitted.append(request)

        await limits.admit(Request(id="r", action="a", payload=payload), next_one)
        return admitted

    async def test_what_fits_is_admitted(self):
        assert await self.admit(Limits(max_payload=20, max_depth=2), {"a": [1]})
        assert await self.admit(Limits(), [[[[1]]]])

    async def test_what_is_too_large_or_too_deep_is_refused(self):
        with pytest.raises(Error, match="20B are allowed") as large:
            await self.admit(Limits(max_payload=20), "x" * 30)
        assert large.value.details["errors"][0]["path"] == ""
        with pytest.raises(Error, match="more than 2 levels"):
            await self.admit(Limits(max_depth=2), [[[1]]])

    @pytest.mark.parametrize(
        ("value", "levels", "deeper"),
        [
            (1, 0, False),
            ([], 0, True),
            ([], 1, False),
            ([[]], 1, True),
            ({"a": {"b": 1}}, 2, False),
            ({"a": {"b": []}}, 2, True),
        ],
    )
    def test_levels_are_counted(self, value, levels, deeper):
        assert deeper_than(value, levels) is deeper


def test_the_components_build_what_they_name(tmp_path):
    context = BuildContext(base_dir=tmp_path)
    made = {one.name: one for one in components()}
    assert set(made) == {"access_log", "timeout", "limits", "rate_limit"}
    assert isinstance(made["access_log"].factory({"slower_than": "1s"}, context), AccessLog)
    assert isinstance(made["timeout"].factory({"limit": "1s", "queued_limit": "2s"}, context), Timeout)
    assert isinstance(made["timeout"].factory({}, context), Timeout)
    assert isinstance(made["limits"].factory({"max_payload": "1KiB", "max_depth": 3}, context), Limits)
    assert all(one.immediate and one.summary for one in made.values())
