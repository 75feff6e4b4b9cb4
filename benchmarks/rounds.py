"""What is measured, in which order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.processes import ROOT, Server, server

PARTS = ("sync", "lives", "mixed", "metrics")
PEERS = ("raw", "streamer", "fastapi")
SYNC_WINDOWS = (1, 16)
SYNC_CONNECTIONS = 64
LIVES = {1: (1, 1), 16: (16, 1), 256: (16, 16)}
"""In flight: connections, and requests on each."""

Measured = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How long and where."""

    seconds: float
    warmup: float
    server_cores: set[int]
    client_cores: set[int]

    @property
    def all_cores(self) -> set[int]:
        return self.server_cores | self.client_cores


def one_round(plan: Plan, parts: tuple[str, ...], number: int) -> Iterator[tuple[str, Measured]]:
    """Every cell once, each as its name and its values: servers are started anew, and take turns in going first."""
    if "sync" in parts:
        shift = number % len(PEERS)
        for peer in PEERS[shift:] + PEERS[:shift]:
            with server(peer, plan.server_cores) as target:
                yield from _sync(plan, target)
    if "lives" in parts:
        with server("streamer", plan.server_cores) as target:
            for in_flight, (connections, window) in LIVES.items():
                job = {"kind": "lives", "connections": connections, "window": window}
                yield f"lives/{in_flight}", _load(plan, target, [job], plan.client_cores)[0]
    if "mixed" in parts:
        with server("streamer", plan.all_cores) as target:
            yield from _mixed(plan, target)
    if "metrics" in parts:
        both = ("streamer", "streamer-metrics")
        for peer in both if number % 2 == 0 else both[::-1]:
            with server(peer, plan.server_cores) as target:
                yield from _metrics(plan, target, "on" if peer == both[1] else "off")


def _sync(plan: Plan, target: Server) -> Iterator[tuple[str, Measured]]:
    raw = target.name == "raw"
    latency = {"kind": "latency", "connections": 1, "window": 1, "raw": raw}
    yield f"latency/{target.name}", _load(plan, target, [latency], plan.client_cores)[0]
    for window in SYNC_WINDOWS:
        job = {"kind": "sync", "connections": SYNC_CONNECTIONS, "window": window, "raw": raw}
        yield f"sync/{target.name}/{window}", _load(plan, target, [job], plan.client_cores)[0]


def _metrics(plan: Plan, target: Server, state: str) -> Iterator[tuple[str, Measured]]:
    """What counting costs: the same load with and without the admin port."""
    sync = {"kind": "sync", "connections": SYNC_CONNECTIONS, "window": 16, "raw": False}
    yield f"metrics/sync {state}", _load(plan, target, [sync], plan.client_cores)[0]
    connections, window = LIVES[16]
    lives = {"kind": "lives", "connections": connections, "window": window}
    yield f"metrics/lives {state}", _load(plan, target, [lives], plan.client_cores)[0]


def _mixed(plan: Plan, target: Server) -> Iterator[tuple[str, Measured]]:
    connections, window = LIVES[256]
    lives = {"kind": "lives", "connections": connections, "window": window}
    sync = {"kind": "sync", "connections": SYNC_CONNECTIONS, "window": 16, "raw": False}
    yield "mixed/sync alone", _load(plan, target, [sync], plan.all_cores)[0]
    yield "mixed/lives alone", _load(plan, target, [lives], plan.all_cores)[0]
    both = _load(plan, target, [sync, lives], plan.all_cores)
    yield "mixed/sync beside lives", both[0]
    yield "mixed/lives beside sync", both[1]


class LoadFailed(Exception):
    """The load saw something wrong, or could not connect."""


def _load(plan: Plan, target: Server, jobs: list[dict[str, Any]], cores: set[int]) -> list[Measured]:
    orders = {
        "url": target.url,
        "pid": target.pid,
        "jobs": jobs,
        "seconds": plan.seconds,
        "warmup": plan.warmup,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", json.dumps(orders)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode:
        kinds = " and ".join(job["kind"] for job in jobs)
        raise LoadFailed(f"{target.name} under {kinds}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)
