"""Results are as old as the time that has passed, whatever the wall clock was set to."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from streamer.core.errors import StoreUnavailable
from streamer.engine import retention
from streamer.engine.retention import Ages, Retention
from streamer.stores.memory import MemoryStore
from streamer.stores.sqlite import SqliteStore
from streamer.testing import ManualClock, RecordingLogger
from streamer.testing.conformance import record

HOUR = 3600.0
DAY = 86400.0
LIFETIME = 7 * DAY


class Machine:
    """A service that is started, stopped and looked after on a machine whose wall clock may be anything."""

    def __init__(self) -> None:
        self.true = 0.0
        """Seconds that have really passed."""
        self.running = 0.0
        self.wall = 1e9
        self.monotonic = 5000.0
        self.ages = Ages(LIFETIME)
        self.ages.observe(self.wall, self.monotonic)

    def run(self, seconds: float, step: float = 3600.0) -> None:
        while seconds > 0:
            passed = min(step, seconds)
            seconds -= passed
            self._pass(passed, awake=True)
            self.running += passed
            self.ages.observe(self.wall, self.monotonic)

    def _pass(self, seconds: float, *, awake: bool) -> None:
        self.true += seconds
        self.wall += seconds
        self.monotonic += seconds if awake else 0.0

    def restart(self, off: float = 0.0, *, reboot: bool = False) -> None:
        left = self.ages.dump()
        self._pass(off, awake=not reboot)
        if reboot:
            self.monotonic = 20.0
        self.ages = Ages.load(left, LIFETIME)
        self.ages.observe(self.wall, self.monotonic)

    def deletes(self, finished: float) -> bool:
        before = self.ages.before()
        return before is not None and finished < before


@pytest.fixture
def machine():
    return Machine()


def test_a_result_lives_as_long_as_it_should_and_little_longer(machine):
    finished = machine.wall
    machine.run(LIFETIME - 3600)
    assert not machine.deletes(finished)
    machine.run(LIFETIME / 50 + 7200)
    assert machine.deletes(finished)


@pytest.mark.parametrize("jump", [8 * DAY, 4000 * DAY])
def test_a_jump_forward_makes_nothing_old(machine, jump):
    machine.run(DAY)
    finished = machine.wall
    machine.wall += jump
    machine.run(6 * DAY)
    assert not machine.deletes(finished)
    machine.run(1.3 * DAY)
    assert machine.deletes(finished)


def test_nor_one_while_the_service_was_not_running(machine):
    machine.run(DAY)
    finished = machine.wall
    machine.wall += 8 * DAY
    machine.restart()
    machine.run(5 * DAY)
    assert not machine.deletes(finished)


def test_what_ends_while_the_clock_is_wrong_lives_as_long(machine):
    machine.run(8 * DAY)
    machine.wall -= 100 * DAY
    machine.run(3600)
    finished = machine.wall
    machine.wall += 100 * DAY
    machine.run(6 * DAY)
    assert not machine.deletes(finished)
    machine.run(2 * DAY)
    assert machine.deletes(finished)


def test_time_between_two_services_counts_where_the_machine_ran_on(machine):
    machine.run(DAY)
    finished = machine.wall - 1
    machine.restart(off=3 * DAY)
    machine.run(3.8 * DAY)
    assert not machine.deletes(finished)
    machine.run(0.5 * DAY)
    assert machine.deletes(finished)


def test_time_in_which_the_machine_was_off_does_not_count(machine):
    machine.run(DAY)
    finished = machine.wall
    machine.restart(off=30 * DAY, reboot=True)
    machine.run(6.8 * DAY)
    assert not machine.deletes(finished)
    machine.run(0.5 * DAY)
    assert machine.deletes(finished)


def test_another_machine_whose_monotonic_clock_is_far_ahead_is_held_against_the_wall(machine):
    machine.run(DAY)
    finished = machine.wall
    machine.monotonic += 900 * DAY
    machine.restart()
    machine.run(DAY)
    assert not machine.deletes(finished)


def test_many_short_runs_add_up(machine):
    finished = machine.wall
    for _ in range(9 * 24):
        machine.run(3600, step=60)
        machine.restart()
    assert machine.deletes(finished)


def test_what_was_left_is_small_and_what_cannot_be_read_counts_for_nothing(machine):
    machine.run(30 * DAY)
    assert len(machine.ages.dump()) < 8000
    ages = Ages.load(b"broken", LIFETIME)
    assert ages.before() is None
    ages.observe(machine.wall, 0.0)
    assert ages.before() is None


def test_whatever_happens_nothing_is_deleted_before_its_time(machine):
    generator = random.Random(7)
    results: list[tuple[float, float]] = []
    for _ in range(400):
        results.append((machine.wall, machine.true))
        machine.run(generator.uniform(60, DAY / 2))
        match generator.randrange(6):
            case 0:
                machine.wall += generator.uniform(-20, 20) * DAY
                machine.ages.observe(machine.wall, machine.monotonic)
            case 1:
                machine.restart(generator.uniform(0, 2) * DAY, reboot=generator.random() < 0.5)
            case _:
                pass
        for finished, at in results:
            assert not (machine.deletes(finished) and machine.true - at < LIFETIME)


class PurgedStore:
    """Purges what it is told to, after a first try that fails."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    async def purge(self, before: float, /) -> int:
        self.calls.append(before)
        if len(self.calls) == 1:
            raise StoreUnavailable("not now")
        return 3 if len(self.calls) == 2 else 0

    async def keep(self, _name: str, value: bytes, /, *, replace: bool = False) -> bytes:
        return value


async def test_expired_results_are_deleted_again_and_again_and_a_store_that_is_away_is_asked_later():
    clock, logger, store = ManualClock(), RecordingLogger(), PurgedStore()
    lifetime = HOUR
    purging = asyncio.create_task(Retention(store, lifetime, clock, logger).run())
    await clock.advance(lifetime - 1)
    assert store.calls == [], "nothing can be that old"
    await clock.advance(1 + 2 * retention.INTERVAL)
    purging.cancel()
    assert len(store.calls) == 3
    assert clock.now() - lifetime - 2 * retention.INTERVAL <= store.calls[2] <= clock.now() - lifetime
    assert logger.lines == [("info", "expired results deleted", {"count": 3})]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_clock_that_jumps_deletes_nothing_that_was_(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(retention, "INTERVAL", HOUR)
    clock = ManualClock()

    async def opened() -> Any:
        return MemoryStore(clock) if kind == "memory" else await SqliteStore.open(tmp_path / "q.db", clock=clock)

    async def end(name: str) -> None:
        await store.enqueue(record(clock, name))
        await store.cancel(("client:one", name))

    async def looked() -> None:
        async with asyncio.timeout(90):
            while not clock.sleepers:
                await asyncio.sleep(0)

    async def run(seconds: float) -> set[str]:
        """Ids that are there after a service has run for so long."""
        purging = asyncio.create_task(Retention(store, LIFETIME, clock, RecordingLogger()).run())
        for _ in range(int(seconds // HOUR)):
            await looked()
            await clock.advance(HOUR)
        await looked()
        purging.cancel()
        return {one.id for one in (await store.list(limit=1000)).requests}

    store = await opened()
    await end("first")
    assert await run(DAY) == {"first"}
    clock.jump(8 * DAY)
    await end("second")
    assert await run(DAY) == {"first", "second"}
    if kind == "sqlite":
        await store.close()
        clock.jump(8 * DAY)
        store = await opened()
    assert await run(DAY) == {"first", "second"}, "at a start"
    clock.jump(-20 * DAY)
    await end("third")
    assert await run(HOUR) == {"first", "second", "third"}
    clock.jump(20 * DAY)
    assert await run(6 * DAY) == {"first", "second", "third"}
    assert await run(2 * DAY) == set()
    await store.close()
