"""What the metrics cost a direct request: the path from a message to its answer, with and without, in one process.

No socket is in between, so that half a microsecond can be seen: blocks of requests with and without metrics take turns,
and the quickest block of each counts.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

from benchmarks.message import SCHEMA, SYNC
from streamer.config.settings import (
    ActionSettings,
    AdminSettings,
    BackendSettings,
    ComponentUse,
    PluginSettings,
    Settings,
)
from streamer.core.clock import SystemClock
from streamer.plugins.manager import discover
from streamer.runtime import builtins
from streamer.runtime.admin_port import observer_for, transport_parts
from streamer.runtime.assembly import open_service


class Peer:
    """Takes answers and does nothing with them. What a connection counts is counted once a write, however many answers
    that has, and is not a part of this.
    """

    id, owner, principal, address, running, post = "conn_1", "connection:conn_1", None, "", 0, None

    def send(self, data: bytes) -> None:
        self.last = data


class Quiet:
    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments, **_fields: None

    def bind(self, **_fields: Any) -> Quiet:
        return self


async def measure(blocks: int, size: int) -> tuple[float, float]:
    """Microseconds of a request without and with metrics."""
    components = discover(PluginSettings(), builtins=[builtins], entry_points=lambda group: []).components  # noqa: ARG005 - the shape of the call
    settings = Settings(
        path=Path("streamer.yaml").absolute(),
        backends=BackendSettings(store=ComponentUse(name="memory")),
        actions={"echo": ActionSettings(name="echo", handler="echo", mode="sync", schema=SCHEMA)},
    )
    clock = SystemClock()
    observer = observer_for(AdminSettings(enabled=True), clock)
    assert observer is not None
    best = [float("inf"), float("inf")]
    async with (
        open_service(settings, components, logger=Quiet()) as plain,
        open_service(settings, components, logger=Quiet(), observer=observer) as observed,
    ):
        sides = [
            (transport_parts(None, plain)["receiver"].receive, Peer()),
            (transport_parts(observer, observed)["receiver"].receive, Peer()),
        ]
        for block in range(blocks):
            for side in (0, 1) if block % 2 else (1, 0):
                receive, peer = sides[side]
                began = time.perf_counter()
                for _ in range(size):
                    receive(peer, SYNC)
                best[side] = min(best[side], (time.perf_counter() - began) / size * 1e6)
        assert b'"success":true' in sides[1][1].last
    assert observer.counts.of("echo").direct["completed"] == blocks * size
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--blocks", type=int, default=4000)
    parser.add_argument("--size", type=int, default=50, help="requests of a block (default %(default)s)")
    given = parser.parse_args()
    without, with_metrics = asyncio.run(measure(given.blocks, given.size))
    cost = with_metrics - without
    print(f"without {without:.2f} µs, with metrics {with_metrics:.2f} µs a request: {cost:.2f} µs more (goal: 1 µs)")


if __name__ == "__main__":
    main()
