"""Medians over the rounds, ratios between peers of the same round, and what the project has set itself as goals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

Rounds = list[dict[str, dict[str, float]]]
"""For each round: the cells, and their values."""


QUIET = 0.2
"""Of a core: what the system itself may use beside a measurement."""


@dataclass(frozen=True)
class Goal:
    """One number that is wanted: `value` of a round, at least (or at most) `bound`."""

    text: str
    value: Callable[[dict[str, dict[str, float]]], float]
    bound: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


def _ratio(over: str, under: str, field: str = "rate") -> Callable[[dict[str, dict[str, float]]], float]:
    return lambda cells: cells[over][field] / cells[under][field]


GOALS = (
    Goal("sync 64x1, of the raw echo", _ratio("sync/streamer/1", "sync/raw/1"), 0.4),
    Goal("sync 64x16, of the raw echo", _ratio("sync/streamer/16", "sync/raw/16"), 0.55),
    Goal("sync 64x1, times FastAPI", _ratio("sync/streamer/1", "sync/fastapi/1"), 4),
    Goal("sync 64x16, times FastAPI", _ratio("sync/streamer/16", "sync/fastapi/16"), 4),
    Goal(
        "one connection's p50, of the raw echo's", _ratio("latency/streamer", "latency/raw", "p50"), 1.6, at_most=True
    ),
    Goal("lives/s on one core, 256 in flight", lambda cells: cells["lives/256"]["rate"], 3500),
    Goal("mixed: sync rate kept beside lives", _ratio("mixed/sync beside lives", "mixed/sync alone"), 0.6),
    Goal("mixed: lives kept beside sync", _ratio("mixed/lives beside sync", "mixed/lives alone"), 0.1),
    Goal("metrics: sync rate kept", _ratio("metrics/sync on", "metrics/sync off"), 0.98),
    Goal("metrics: lives kept", _ratio("metrics/lives on", "metrics/lives off"), 0.98),
)


def medians(rounds: Rounds) -> dict[str, dict[str, float]]:
    """The median of each value of each cell, over the rounds that have it."""
    names = dict.fromkeys(name for cells in rounds for name in cells)
    return {name: _median_cell([cells[name] for cells in rounds if name in cells]) for name in names}


def _median_cell(cells: list[dict[str, float]]) -> dict[str, float]:
    return {field: median(cell[field] for cell in cells) for field in cells[0]}


def goals(rounds: Rounds) -> list[dict[str, Any]]:
    """Each goal with the median of its value over the rounds, its spread, and whether it is met.

    A ratio is taken within each round first, so that what slows the whole machine for a while cancels out.
    """
    found = []
    for goal in GOALS:
        values = list(_values(goal, rounds))
        if values:
            middle = median(values)
            found.append(
                {
                    "goal": goal.text,
                    "wanted": goal.bound,
                    "at_most": goal.at_most,
                    "value": middle,
                    "lowest": min(values),
                    "highest": max(values),
                    "met": goal.met(middle),
                }
            )
    return found


def _values(goal: Goal, rounds: Rounds) -> Iterable[float]:
    for cells in rounds:
        try:
            yield goal.value(cells)
        except KeyError:
            continue


def disturbances(rounds: Rounds) -> list[str]:
    """One line, when anything else used the processors while this was measured."""
    cells = [cell["others_cpu"] for measured in rounds for cell in measured.values()]
    disturbed = sum(others > QUIET for others in cells)
    if not disturbed:
        return []
    most = f"{max(cells):.2f}"
    return [
        f"WARNING: in {disturbed} of {len(cells)} measurements others used over {QUIET:g} of a core (up to {most}).",
        "Peers were not measured alike: believe no ratio, and measure again when it is quiet.",
        "",
    ]


def table(rounds: Rounds) -> str:
    """For people."""
    lines = [f"{'':28}{'per second':>12}{'p50 µs':>9}{'p99 µs':>9}{'server':>9}{'client':>9}{'others':>9}   of a core"]
    for name, cell in medians(rounds).items():
        times = "".join(f"{cell[field]:9.0f}" if field in cell else " " * 9 for field in ("p50", "p99"))
        shares = "".join(f"{cell[field]:9.2f}" for field in ("server_cpu", "client_cpu", "others_cpu"))
        line = f"{name:28}{cell['rate']:12,.0f}{times}{shares}"
        if "progress_per_life" in cell:
            line += f"   {cell['progress_per_life']:.2f} progress messages a life"
        lines.append(line)
    lines.append("")
    lines.extend(disturbances(rounds))
    lines.append(f"{'':42}{'wanted':>10}{'median':>10}{'lowest':>10}{'highest':>10}")
    for goal in goals(rounds):
        wanted = f"{'≤' if goal['at_most'] else '≥'} {goal['wanted']:,g}"
        numbers = "".join(f"{_short(goal[field]):>10}" for field in ("value", "lowest", "highest"))
        lines.append(f"{goal['goal']:42}{wanted:>10}{numbers}   {'met' if goal['met'] else 'NOT MET'}")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
