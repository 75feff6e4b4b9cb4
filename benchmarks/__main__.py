"""`python -m benchmarks`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.build import python_build
from benchmarks.processes import ROOT, ServerFailed
from benchmarks.report import Rounds, goals, medians, table
from benchmarks.rounds import PARTS, LoadFailed, Plan, one_round

PACKAGES = ("streamer-router", "picows", "uvloop", "fastapi", "uvicorn", "pydantic", "websockets")

PEERS = ("fastapi", "uvicorn", "pydantic", "websockets")
"""What FastAPI's side of the comparison needs; uvicorn's WebSockets are those of `websockets`."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of one second each: does it run?")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be given again (default: all)")
    parser.add_argument("--server-core", type=int, help="default: the first core that this process may use")
    parser.add_argument("--client-core", type=int, help="default: the last one")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.quick:
        given.rounds, given.seconds = 1, 1.0
    missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} not installed: pip install -e '.[bench]' in the clone")
    usable = sorted(os.sched_getaffinity(0))
    server_core = usable[0] if given.server_core is None else given.server_core
    client_core = usable[-1] if given.client_core is None else given.client_core
    if server_core == client_core:
        print("Server and client share one core: the rates mean little, the ratios something.", file=sys.stderr)
    plan = Plan(
        seconds=given.seconds,
        warmup=min(1.0, given.seconds / 2),
        server_cores={server_core},
        client_cores={client_core},
    )
    parts = tuple(given.only or PARTS)
    began = datetime.now(UTC)
    rounds: Rounds = []
    try:
        for number in range(given.rounds):
            cells: dict[str, dict[str, float]] = {}
            rounds.append(cells)
            for name, cell in one_round(plan, parts, number):
                cells[name] = cell
                print(f"round {number + 1} of {given.rounds}: {name} {cell['rate']:,.0f}/s", file=sys.stderr)
    except (ServerFailed, LoadFailed) as problem:
        sys.exit(f"The benchmark stopped: {problem}")
    print(f"{python_build()}\n")
    print(table(rounds))
    print(f"\nwritten to {_write(began, given, rounds)}")


def _write(began: datetime, given: argparse.Namespace, rounds: Rounds) -> Path:
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    path = results / f"{began:%Y%m%dT%H%M%SZ}.json"
    found = {
        "began": began.isoformat(timespec="seconds"),
        "options": {name: value for name, value in vars(given).items() if value is not None},
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()},
        "python": platform.python_version(),
        "python_build": python_build(),
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "medians": medians(rounds),
        "goals": goals(rounds),
        "rounds": rounds,
    }
    path.write_text(json.dumps(found, indent=2) + "\n")
    return path


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
