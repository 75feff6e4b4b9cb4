"""`python -m benchmarks.soak --seed 1 --minutes 10 --clients 500`: exit status 0 when every promise was kept."""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import shutil
import socket
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import uvloop

from benchmarks.processes import ROOT
from benchmarks.soak.faults import Faults
from benchmarks.soak.people import Person
from benchmarks.soak.raw import Gone
from benchmarks.soak.relay import Relay
from benchmarks.soak.schedule import schedule
from benchmarks.soak.service import Service
from benchmarks.soak.strangers import Stranger
from benchmarks.soak.verdict import TERMINAL, judge
from benchmarks.soak.wire import Wire

STRANGERS = 0.1
"""Of the clients."""
AT_ONCE = 2
"""Requests of one client under way at a time."""
SHOWN = 20


async def soak(given: argparse.Namespace, folder: Path) -> list[str]:
    """Runs it, prints the counts and returns what was not as it must be."""
    wire, ended = Wire(), Counter[str]()
    service = Service(folder, _free_port())
    relay = Relay(service.port, wire)
    await relay.start()
    service.start()
    many = round(given.clients * STRANGERS)
    strangers = [Stranger(number, relay.port, wire, given.seed) for number in range(many)]
    people = [Person(number, relay.url, wire, given.seed, ended) for number in range(given.clients - many)]
    enough = asyncio.Event()
    living = [asyncio.create_task(person.live(enough, AT_ONCE, given.pause)) for person in people]
    living += [asyncio.create_task(stranger.live(enough)) for stranger in strangers]
    faults = Faults(service, relay, wire.counts)
    await faults.run(schedule(given.seed, given.minutes * 60))
    enough.set()
    problems = []
    _, late = await asyncio.wait(living, timeout=given.patience)
    for task in late:
        task.cancel()
    if late:
        problems.append(f"{len(late)} clients still wait {given.patience:g} seconds after the last fault")
    outcomes = await asyncio.gather(*living, return_exceptions=True)
    problems += [
        "a client broke: " + "".join(traceback.format_exception(outcome))
        for outcome in outcomes
        if isinstance(outcome, Exception)
    ]
    for stranger in strangers:
        try:
            await stranger.come_back()
        except Gone:
            problems.append(f"a stranger came back, and was not told everything: {stranger.client_id}")
    relay.stop()
    status = service.stop()
    if status != 0:
        problems.append(f"the last drain ended with status {status}")
    wire.counts["cuts of connections"] = relay.cuts
    states, found = judge(service.database, wire, people)
    _print(wire.counts, ended, states, service)
    return faults.problems + _tracebacks(service) + problems + wire.problems + found


def _tracebacks(service: Service) -> list[str]:
    """FairQueue of the service's logs that tell of something unexpected."""
    return [
        f"{service.log(life).name}: {line[:2000]}"
        for life in range(1, service.lives + 1)
        for line in service.log(life).read_text(errors="replace").splitlines()
        if '"exception"' in line or "Traceback" in line
    ]


def _print(counts: Counter[str], ended: Counter[str], states: Counter[str], service: Service) -> None:
    counts["lives of the service"] = service.lives
    print("What happened:")
    for name, number in sorted(counts.items()):
        print(f"{number:>9,}  {name}")
    print("How the clients' requests ended:")
    for name, number in sorted(ended.items()):
        print(f"{number:>9,}  {name}")
    print("In the file:")
    for status, number in sorted(states.items()):
        print(f"{number:>9,}  {status}")
    open_ = sum(number for status, number in states.items() if status not in TERMINAL)
    print(f"{counts['acknowledged']:,} acknowledged, {states.total() - open_:,} of {states.total():,} records terminal")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="of what breaks when")
    parser.add_argument("--minutes", type=float, default=10.0, help="of faults (default %(default)s)")
    parser.add_argument("--clients", type=int, default=500, help="default %(default)s, one in ten of them hostile")
    parser.add_argument("--pause", type=float, default=3.0, help="mean seconds between a client's requests")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds after the last fault for all to end")
    parser.add_argument("--keep", action="store_true", help="keep file and logs even when all is well")
    given = parser.parse_args()
    print(f"--seed {given.seed} --minutes {given.minutes:g} --clients {given.clients}", flush=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    # Beside the code and not in /tmp, which may be memory: the store's fsync must reach a disk.
    folder = Path(tempfile.mkdtemp(dir=results, prefix="soak-"))
    began = time.monotonic()
    problems = uvloop.run(soak(given, folder))
    print(f"{time.monotonic() - began:.0f} seconds, {len(problems)} violations")
    for problem in problems[:SHOWN]:
        print(f"VIOLATION: {problem}")
    if problems:
        sys.exit(f"everything is kept in {folder}")
    if not given.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
