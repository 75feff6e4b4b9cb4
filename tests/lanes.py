"""Lanes: which tests can run on a machine, by what they need there. What a run leaves out is listed at its end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LANES = {
    "unit": "need nothing but Python, and run in the process of the tests",
    "service": "start services, or processes that these consist of, on SQLite and in memory",
    "aws": "need the emulators of AWS",
    "browser": "need Node, Chromium or promtool",
}
_AWS = {"ministack", "moto", "aws_tool"}
_ON_AWS = ("aws", "dynamodb")
"""How the names of stores and of deployments begin that the emulators are needed for."""
_BROWSER = {"node", "node_package", "tsc", "chromium", "promtool"}
_SERVICE = {"acceptance", "conversations", "integration"}

_left_out: Counter[str] = Counter()


def lane_of(item: pytest.Item) -> str:
    """The lane of a test. One of several needs is in the lane that the fewest machines can run."""
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if fixtures & _AWS or any(isinstance(one, str) and one.startswith(_ON_AWS) for one in parameters.values()):
        return "aws"
    if fixtures & _BROWSER or parameters.get("make") in ("ws", "javascript"):
        return "browser"
    return "service" if _is_of_a_service(item) or item.get_closest_marker("service") else "unit"


def _is_of_a_service(item: pytest.Item) -> bool:
    return not _SERVICE.isdisjoint(item.path.relative_to(ROOT).parts[:2])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(lane_of(item))


def pytest_deselected(items: list[pytest.Item]) -> None:
    _left_out.update(lane_of(item) for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = dict(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Each worker collects all tests, so they agree; one that was killed has nothing to say.
    _left_out.update(Counter(getattr(node, "workeroutput", {}).get("left_out", {})) - _left_out)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lanes = [lane for lane in LANES if _left_out[lane]]
    # Whoever names files or words has asked for those alone.
    if not lanes or config.args_source is pytest.Config.ArgsSource.ARGS or config.option.keyword:
        return
    terminalreporter.section("left out")
    for lane in lanes:
        terminalreporter.line(f"{_left_out[lane]} tests of the lane {lane}, which {LANES[lane]}")
    terminalreporter.line(".ci/run installs what they need and runs all tests")
