"""The load: one process, picows on uvloop, frames masked beforehand, every answer checked.

Run as a program of its own, so that it can be pinned: `python -m benchmarks.load '{…}'` prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from array import array
from typing import Any

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.message import LIFE, SYNC, constant_parts, frame
from benchmarks.processes import cpu_seconds, machine_cpu_seconds


class WrongAnswer(Exception):
    """A server said something else than it should; a rate of such answers means nothing."""


class Load(WSListener):
    """Keeps `window` requests under way on each of its connections, for as long as it runs."""

    text: bytes

    def __init__(self, window: int) -> None:
        one = frame(self.text)
        self._frames = [one * count for count in range(window + 1)]
        self._window = window
        self._writers: list[Any] = []
        self.problem: str | None = None
        self.counts = {"answers": 0}

    def on_ws_connected(self, transport: WSTransport) -> None:
        # Frames are ready-made, so they go around picows' own masking: the load must cost less than what it measures.
        self._writers.append(transport.underlying_transport.write)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            # Not left to the library, which would not say that it was the last frame of a buffer.
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.TEXT:
            self.take(frame.get_payload_as_bytes())
        else:
            self.wrong(f"a frame of type {frame.msg_type.name}: {frame.get_payload_as_bytes()!r}")
            return
        if frame.last_in_buffer:
            self.go_on(transport)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self.wrong("the server ended the connection")

    def start(self) -> None:
        for write in self._writers:
            write(self._frames[self._window])

    def wrong(self, what: str) -> None:
        self.problem = self.problem or what

    def take(self, text: bytes) -> None:
        raise NotImplementedError

    def go_on(self, transport: WSTransport) -> None:
        raise NotImplementedError


class SyncLoad(Load):
    """Requests that are answered at once. The first answer must be right, and the others its like but for the time."""

    text = SYNC

    def __init__(self, window: int, *, raw: bool) -> None:
        super().__init__(window)
        self._before, self._after = (SYNC, b"") if raw else (b"", b"")
        self._length = len(SYNC) if raw else 0
        self._answered = 0

    def take(self, text: bytes) -> None:
        if not self._length:
            self._learn(text)
        if len(text) != self._length or not text.startswith(self._before) or not text.endswith(self._after):
            self.wrong(f"an answer: {text!r}")
        self._answered += 1

    def _learn(self, text: bytes) -> None:
        try:
            self._before, self._after = constant_parts(text)
        except (ValueError, TypeError, AttributeError) as problem:
            self.wrong(f"{problem}: {text!r}")
        self._length = len(text)

    def go_on(self, transport: WSTransport) -> None:
        # A buffer holds frames of one connection only, so what was answered since the last one is all its own.
        answered, self._answered = self._answered, 0
        self.counts["answers"] += answered
        transport.underlying_transport.write(self._frames[answered])


class LatencyLoad(SyncLoad):
    """One request at a time; notes how long each took."""

    def __init__(self, window: int, *, raw: bool) -> None:
        super().__init__(window, raw=raw)
        self.times = array("d")
        self._sent = time.perf_counter()

    def go_on(self, transport: WSTransport) -> None:
        if not self._answered:
            return
        self.times.append(time.perf_counter() - self._sent)
        self._sent = time.perf_counter()
        super().go_on(transport)


class Told(msgspec.Struct):
    type: str
    request_id: str
    success: bool = False


class LifeLoad(Load):
    """Requests that are queued, run and completed. Each must be acknowledged once, and then completed once."""

    text = LIFE

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self.counts = {"answers": 0, "progress": 0}
        self._decode = msgspec.json.Decoder(Told).decode
        self._alive: set[str] = set()
        self._ended = 0

    def take(self, text: bytes) -> None:
        told = self._decode(text)
        if told.type == "progress" and told.request_id in self._alive:
            self.counts["progress"] += 1
        elif told.type == "acknowledgment" and told.request_id not in self._alive:
            self._alive.add(told.request_id)
        elif told.type == "complete" and told.success and told.request_id in self._alive:
            self._alive.remove(told.request_id)
            self.counts["answers"] += 1
            self._ended += 1
        else:
            self.wrong(f"out of place: {text!r}")

    def go_on(self, transport: WSTransport) -> None:
        ended, self._ended = self._ended, 0
        if ended:
            transport.underlying_transport.write(self._frames[ended])


def _load(job: dict[str, Any]) -> Load:
    if job["kind"] == "lives":
        return LifeLoad(job["window"])
    kind = LatencyLoad if job["kind"] == "latency" else SyncLoad
    return kind(job["window"], raw=job["raw"])


async def measure(plan: dict[str, Any]) -> list[dict[str, float]]:
    """Runs all jobs of the plan at once; the rates of each over the same interval, and the processors' shares."""
    loads = [_load(job) for job in plan["jobs"]]
    for job, load in zip(plan["jobs"], loads, strict=True):
        for _ in range(job["connections"]):
            await ws_connect(lambda load=load: load, plan["url"], enable_auto_pong=False)
    for load in loads:
        load.start()
    await _run(loads, plan["warmup"])
    before = [dict(load.counts) for load in loads]
    # A time that is noted while the load warms up would count the caches' coldness.
    for load in loads:
        if isinstance(load, LatencyLoad):
            load.times = array("d")
    began, used = time.perf_counter(), _cpu(plan["pid"])
    await _run(loads, plan["seconds"])
    took = time.perf_counter() - began
    server, own, all_of_it = ((after - earlier) / took for after, earlier in zip(_cpu(plan["pid"]), used, strict=True))
    shares = {"server_cpu": server, "client_cpu": own, "others_cpu": max(all_of_it - server - own, 0.0)}
    return [_result(load, counts, took) | shares for load, counts in zip(loads, before, strict=True)]


async def _run(loads: list[Load], seconds: float) -> None:
    await asyncio.sleep(seconds)
    for load in loads:
        if load.problem:
            raise WrongAnswer(load.problem)


def _result(load: Load, before: dict[str, int], took: float) -> dict[str, float]:
    result = {"rate": (load.counts["answers"] - before["answers"]) / took}
    if result["rate"] == 0:
        raise WrongAnswer("no answer at all")
    if isinstance(load, LatencyLoad):
        times = sorted(load.times)
        result |= {"p50": times[len(times) // 2] * 1e6, "p99": times[len(times) * 99 // 100] * 1e6}
    if "progress" in before:
        lives = load.counts["answers"] - before["answers"]
        result["progress_per_life"] = (load.counts["progress"] - before["progress"]) / lives
    return result


def _cpu(server: int) -> tuple[float, float, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return cpu_seconds(server), usage.ru_utime + usage.ru_stime, machine_cpu_seconds()


if __name__ == "__main__":
    try:
        print(json.dumps(uvloop.run(measure(json.loads(sys.argv[1])))))
    except WrongAnswer as wrong:
        sys.exit(f"{wrong}")
