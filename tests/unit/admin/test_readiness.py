"""What `/readyz` answers by."""

import asyncio

import pytest

from streamer.admin.readiness import FRESH, PROBE_KEY, RETRY, Readiness, store_check, worker_check
from streamer.core.clock import SystemClock
from streamer.core.errors import StoreUnavailable
from streamer.core.health import Health
from streamer.stores.memory import MemoryStore
from streamer.testing.clock import ManualClock


async def fine():
    return None


def problems(report):
    return {name: found.problem for name, found in report.results.items()}


async def test_it_is_ready_when_no_check_finds_anything():
    report = await Readiness({"a": fine, "b": fine}, lambda: False, ManualClock()).report()
    assert report.ready()
    assert problems(report) == {"a": None, "b": None}


@pytest.mark.parametrize(
    ("raised", "told"),
    [(StoreUnavailable("the disk is full"), "the disk is full"), (StoreUnavailable(), "StoreUnavailable"),
     (ZeroDivisionError("x"), "ZeroDivisionError: x")],
)  # fmt: skip
async def test_what_a_check_raises_is_what_is_wrong(raised, told):
    async def broken():
        raise raised

    report = await Readiness({"a": broken, "b": fine}, lambda: False, ManualClock()).report()
    assert problems(report) == {"a": told, "b": None}
    assert not report.ready()
    assert not report.ready({"b"})
    assert report.ready({"a"})


async def test_a_check_that_hangs_is_cut_off(monkeypatch):
    monkeypatch.setattr("streamer.admin.readiness.TIMEOUT", 0.01)
    report = await Readiness({"a": asyncio.Event().wait}, lambda: False, SystemClock()).report()
    assert problems(report) == {"a": "no answer within 0.01 s"}


async def test_who_drains_is_not_ready_whatever_is_excluded():
    draining = False
    readiness = Readiness({"a": fine}, lambda: draining, ManualClock())
    assert (await readiness.report()).ready()
    draining = True
    assert not (await readiness.report()).ready({"a"})


async def test_many_probes_cost_one_check_in_a_while():
    asked = 0

    async def check():
        nonlocal asked
        asked += 1

    clock = ManualClock()
    readiness = Readiness({"a": check}, lambda: False, clock)
    await asyncio.gather(*(readiness.report() for _ in range(100)))
    await clock.advance(FRESH - 0.1)
    await readiness.report()
    assert asked == 1
    await clock.advance(0.1)
    await readiness.report()
    assert asked == 2


async def test_what_was_wrong_is_looked_at_again_sooner():
    problem = "not yet"

    async def check():
        return problem

    clock = ManualClock()
    readiness = Readiness({"a": check}, lambda: False, clock)
    assert not (await readiness.report()).ready()
    problem = None
    assert not (await readiness.report()).ready()
    await clock.advance(RETRY)
    assert (await readiness.report()).ready()


async def test_the_store_must_take_a_write():
    store, health, clock = MemoryStore(), Health(), ManualClock(now=7.0)
    check = store_check(store, health, clock)
    assert await check() is None
    assert await store.keep(PROBE_KEY, b"") == b"7"
    health.report("store", "the disk is full")
    assert await check() == "the disk is full"
    health.report("store", None)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await check()


async def test_the_worker_must_get_answers():
    clock, last = ManualClock(), None
    check = worker_check(lambda: last, 1.0, clock)
    assert await check() == "the worker has not asked the queue yet"
    last = clock.monotonic()
    await clock.advance(30)
    assert await check() is None
    await clock.advance(1)
    assert await check() == "the worker has had no answer from the queue for 31 s"
