"""How many connections one service holds, what an idle one costs, and what the others feel of them.

`python -m benchmarks.connections` holds 10,000 connections at once, 1,000 of them active.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, Server, ServerFailed, cpu_seconds, server

PER_CLIENT = 5_000
"""Connections of one client process."""
SPARE_FILES = 200
"""Descriptors that a process needs besides its connections."""


class ClientFailed(Exception):
    """A process of clients ended; the message is what it said."""


class Clients:
    """One process of clients."""

    def __init__(self, process: subprocess.Popen[str], opened_in: float) -> None:
        self._process = process
        self.opened_in = opened_in

    def ask(self, seconds: float, rate: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"seconds": seconds, "rate": rate}) + "\n")
        self._process.stdin.flush()
        return told(self._process)


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        raise ClientFailed(f"the clients ended: {process.stderr.read()[-1000:]}")
    found: dict[str, Any] = json.loads(line)
    if found.get("problems"):
        raise ClientFailed(f"{found['problems'][0]}")
    return found


@contextlib.contextmanager
def clients(url: str, connections: int, number: int, cores: set[int]) -> Iterator[Clients]:
    """Opens connections from a process of their own, and from a loopback address of their own."""
    job = {"url": url, "connections": connections, "source": f"127.0.0.{number + 2}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.holding", json.dumps(job)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - this program has no threads
    )
    with process:
        try:
            yield Clients(process, told(process)["seconds"])
        finally:
            process.kill()


def resident(pid: int) -> int:
    """Bytes of the process in memory. What the kernel keeps for its sockets is not among them."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ServerFailed("the service has ended")


def raise_limit(needed: int) -> int:
    """Lets this process and those that it starts open as many files as the machine allows. Returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = soft if hard == resource.RLIM_INFINITY and soft > needed else hard
    if limit == resource.RLIM_INFINITY:
        limit = needed
    if limit < needed:
        sys.exit(f"A process may open {limit} files, {needed} are needed: raise the hard limit (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def beside(running: Server, given: argparse.Namespace, idle: int, cores: set[int]) -> dict[str, Any]:
    """So many idle connections, then the active ones, then requests over these. Figures of the service alone."""
    with contextlib.ExitStack() as stack:
        before, used = resident(running.pid), cpu_seconds(running.pid)
        opening = 0.0
        for number, first in enumerate(range(0, idle, PER_CLIENT), 1):
            opened = stack.enter_context(clients(running.url, min(PER_CLIENT, idle - first), number, cores))
            opening += opened.opened_in
        found: dict[str, Any] = {}
        if idle:
            found["handshakes_per_second"] = idle / opening
            found["cpu_per_handshake"] = (cpu_seconds(running.pid) - used) / idle
            found["bytes_per_idle"] = (resident(running.pid) - before) / idle
        active = stack.enter_context(clients(running.url, given.active, 0, cores))
        active.ask(min(2.0, given.seconds), given.rate)
        used = cpu_seconds(running.pid)
        found |= active.ask(given.seconds, given.rate)
        found["server_cpu"] = (cpu_seconds(running.pid) - used) / given.seconds
        found["resident"] = resident(running.pid)
    return found


def measure(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The active connections alone, and then beside the idle ones, each with a service freshly started."""
    usable = sorted(os.sched_getaffinity(0))
    found = {}
    for name, idle in (("alone", 0), ("beside", given.connections - given.active)):
        with server("streamer", {usable[0]}) as running:
            found[name] = beside(running, given, idle, {usable[-1]})
    return found


def table(given: argparse.Namespace, found: dict[str, dict[str, Any]]) -> str:
    beside_idle = found["beside"]
    lines = [
        f"{given.connections:,} connections at once, {given.active:,} active with {given.rate:g} request/s each",
        "",
        "| active connections | requests | p50 | p99 | worst | share of a core | resident |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, words in (("alone", "alone"), ("beside", f"beside {given.connections - given.active:,} idle")):
        cell = found[name]
        lines.append(
            f"| {given.active:,} {words} | {cell['answered']:,} of {cell['sent']:,} | {cell['p50'] * 1e3:.2f} ms "
            f"| {cell['p99'] * 1e3:.2f} ms | {cell['worst'] * 1e3:.1f} ms | {cell['server_cpu']:.2f} "
            f"| {cell['resident'] / 2**20:.0f} MiB |"
        )
    lines += [
        "",
        f"An idle connection: {beside_idle['bytes_per_idle'] / 1024:.1f} KiB of the service's memory.",
        f"Handshakes: {beside_idle['handshakes_per_second']:,.0f}/s, as one client process makes them.",
        f"A handshake: {beside_idle['cpu_per_handshake'] * 1e6:.0f} µs of the service's processor time.",
    ]
    if any(cell["skipped"] or cell["answered"] != cell["sent"] for cell in found.values()):
        lines.append("NOT MET: some requests were not answered before their connection's next one was due.")
    late = max(cell["client_late_p99"] for cell in found.values())
    if late > 0.005:
        lines.append(f"The clients sent up to {late * 1e3:.0f} ms late (p99): the machine was busy, measure again.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.connections", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000, help="held at once (default %(default)s)")
    parser.add_argument("--active", type=int, default=1_000, help="of them (default %(default)s)")
    parser.add_argument("--rate", type=float, default=1.0, help="requests a second of each (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement (default %(default)s)")
    given = parser.parse_args()
    if not 0 < given.active < given.connections:
        parser.error("some of the connections must be active, and some idle")
    raise_limit(given.connections + SPARE_FILES)
    began = datetime.now(UTC)
    try:
        found = measure(given)
    except (ServerFailed, ClientFailed) as problem:
        sys.exit(f"The benchmark stopped: {problem}")
    print(table(given, found))
    path = ROOT / "benchmarks" / "results" / f"connections-{began:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"options": vars(given), "load": os.getloadavg(), **found}, indent=2) + "\n")
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
