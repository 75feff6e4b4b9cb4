"""Carries the schedule out."""

from __future__ import annotations

import asyncio
from collections import Counter

from benchmarks.soak.relay import Relay
from benchmarks.soak.schedule import Fault
from benchmarks.soak.service import LEASE, STOP_TIMEOUT, Service

MUTE = 1.0
STALL = 2.0
"""Seconds at most beyond the lease for which a process is stopped."""
SLOW = 200_000.0
"""Bytes a second at most of a connection that is slowed down."""
DISK = 1.5
"""Seconds at most."""
CLOCK = 6 * 3600.0
"""Seconds that the clock is set forward or back at most, from what the machine says."""


class Faults:
    """Breaks things. Only one thing at a time ends the service itself; all else may come together with that.

    Args:
        service: what is killed, drained and hindered.
        relay: whose connections are cut.
        counts: how often each was done.
    """

    def __init__(self, service: Service, relay: Relay, counts: Counter[str]) -> None:
        self._service = service
        self._relay = relay
        self._counts = counts
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Lock()
        self.problems: list[str] = []

    async def run(self, faults: list[Fault]) -> None:
        """All of them, each at its time; returns when the last is over and the service lives."""
        began = asyncio.get_running_loop().time()
        for fault in faults:
            await asyncio.sleep(max(0.0, began + fault.at - asyncio.get_running_loop().time()))
            task = asyncio.create_task(getattr(self, f"_{fault.kind}")(fault.size))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._revive()

    def _revive(self) -> None:
        """As a supervisor would: a fault may hit a service that begins, which then says so and ends."""
        if not self._service.alive:
            if self._service.was_ready:
                self.problems.append(f"life {self._service.lives} ended by itself: see its log")
            self._counts["starts that a fault cut off"] += 1
            self._service.start()

    async def _kill(self, size: float) -> None:
        async with self._ending:
            self._revive()
            self._service.kill()
            self._counts["SIGKILL of the service"] += 1
            await asyncio.sleep(size * 0.5)
            self._service.start()

    async def _take_over(self, _size: float) -> None:
        async with self._ending:
            self._revive()
            before = self._service.take_over()
            self._counts["drains with another taking over"] += 1
            status = await asyncio.to_thread(before.wait, STOP_TIMEOUT)
            # One that was told to stop before it had begun to listen may end by the signal itself.
            if status not in (0, -15):
                self.problems.append(f"a drain ended with status {status}")

    async def _kill_writer(self, _size: float) -> None:
        self._counts["SIGKILL of the writer"] += self._service.kill_child("stores.sqlite")

    async def _kill_pool(self, _size: float) -> None:
        self._counts["SIGKILL of a handler's process"] += self._service.kill_child("process_child")

    async def _stall(self, size: float) -> None:
        async with self._ending:
            self._revive()
            with self._service.stopped():
                self._counts["SIGSTOP of the service beyond the lease"] += 1
                await asyncio.sleep(LEASE + size * STALL)

    async def _stall_writer(self, size: float) -> None:
        # Not while the service itself ends: a stopped writer would go on holding the file's lock.
        async with self._ending:
            with self._service.stopped_child("stores.sqlite") as stopped:
                self._counts["SIGSTOP of the writer beyond the lease"] += stopped
                await asyncio.sleep(LEASE + size * STALL)

    async def _disk(self, size: float) -> None:
        with self._service.disk_refuses() as refused:
            self._counts["refusals of the disk"] += refused
            await asyncio.sleep(0.2 + size * DISK)

    async def _clock(self, size: float) -> None:
        self._service.set_clock((size * 2 - 1) * CLOCK)
        self._counts["jumps of the clock"] += 1

    async def _cut(self, size: float) -> None:
        pair = self._relay.chosen(size)
        if pair is not None:
            self._relay.cut(pair)

    async def _mute(self, size: float) -> None:
        pair = self._relay.chosen(size)
        if pair is not None:
            pair.mute()
            await asyncio.sleep(size * MUTE)
            self._relay.cut(pair)

    async def _slow(self, size: float) -> None:
        pair = self._relay.chosen(size)
        if pair is not None:
            pair.slow_down(SLOW * (0.25 + 0.75 * size))
            self._counts["connections slowed down"] += 1

    async def _cut_all(self, _size: float) -> None:
        for pair in list(self._relay.pairs):
            self._relay.cut(pair)
