"""Where a request may be when its process dies, and what must come of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest


class Crash(NamedTuple):
    """One moment of death, and what the record says at the end."""

    at: str
    """`<step>.<before or after>`, `#2` for the second time."""
    runs: int = 1
    """How often the handler began, over all lives."""
    attempts: int = 1
    history: tuple[str, ...] = ()
    """How each attempt ended that did not complete the request."""
    acknowledged: bool = True
    """Whether the owner had been told that the request is stored; if not, it sends the request again."""
    told: bool = False
    """Whether the owner had been told the outcome."""
    noted: bool = False
    """Whether the service knew durably that the owner had been told."""
    fails: int = 0
    """How many attempts fail by themselves."""

    def __str__(self) -> str:
        return self.at


CRASHES = (
    Crash("stored.before", acknowledged=False),
    Crash("stored.after", acknowledged=False),
    Crash("acknowledged.before", acknowledged=False),
    Crash("acknowledged.after"),
    Crash("claimed.before"),
    Crash("claimed.after", attempts=2, history=("lost",)),
    Crash("run.before", attempts=2, history=("lost",)),
    Crash("run.after", runs=2, attempts=2, history=("lost",)),
    Crash("recorded.before", runs=2, attempts=2, history=("lost",)),
    Crash("recorded.after"),
    Crash("delivered.before"),
    Crash("delivered.after", told=True),
    Crash("noted.before", told=True),
    Crash("noted.after", told=True, noted=True),
)
SECOND_ATTEMPTS = (
    Crash("failed.before", fails=1, runs=2, attempts=2, history=("lost",)),
    Crash("failed.after", fails=1, runs=2, attempts=2, history=("failed",)),
    Crash("claimed.before#2", fails=1, runs=2, attempts=2, history=("failed",)),
    Crash("claimed.after#2", fails=1, runs=2, attempts=3, history=("failed", "lost")),
    Crash("run.before#2", fails=1, runs=2, attempts=3, history=("failed", "lost")),
    Crash("run.after", fails=1, runs=3, attempts=3, history=("failed", "lost")),
    Crash("recorded.before", fails=1, runs=3, attempts=3, history=("failed", "lost")),
    Crash("recorded.after", fails=1, runs=2, attempts=2, history=("failed",)),
    Crash("delivered.before", fails=1, runs=2, attempts=2, history=("failed",)),
    Crash("delivered.after", fails=1, runs=2, attempts=2, history=("failed",), told=True),
)


AFTER_WRITES = {"stored.after", "run.after", "failed.after", "cancelled.after", "recorded.after", "noted.after"}
"""At each other point a table is as it is at one of these. Where every operation is slow, these are enough: what the
service does between two writes is the same on every store.
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    after_writes = [crash for crash in CRASHES if crash.at in AFTER_WRITES]
    second_after_writes = [crash for crash in SECOND_ATTEMPTS if crash.at in {*AFTER_WRITES, "claimed.after#2"}]
    for name, crashes in (
        ("crash", CRASHES),
        ("second_crash", SECOND_ATTEMPTS),
        ("crash_after_a_write", after_writes),
        ("second_crash_after_a_write", second_after_writes),
    ):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, crashes, ids=str)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if _differs(getattr(getattr(item, "callspec", None), "params", {}))]


def _differs(parameters: dict[str, Any]) -> bool:
    """Whether a test is more than a repetition of what another store has shown."""
    crash = parameters.get("crash") or parameters.get("second_crash")
    point = crash.at if isinstance(crash, Crash) else parameters.get("point")
    return parameters.get("house") != "dynamodb" or point in AFTER_WRITES


class Told:
    """What one owner hears of one request, over all connections. Each connection is checked as it speaks."""

    def __init__(self, request_id: str) -> None:
        self.id = request_id
        self.acknowledged = False
        self.newest = -1
        self.terminals: list[dict[str, Any]] = []
        self.here: list[dict[str, Any]] = []
        """Of the connection that is open now."""

    def new_connection(self) -> None:
        self.here = []

    def take(self, message: dict[str, Any]) -> None:
        if message.get("request_id") != self.id:
            return
        assert "seq" in message, message
        assert not self.ended_here, f"{message} came after the terminal message on one connection"
        assert not self.here or message["seq"] > self.here[-1]["seq"], f"{message} does not rise after {self.here[-1]}"
        self.here.append(message)
        if message["type"] == "acknowledgment":
            assert len(self.here) == 1, f"{message} is not the first on its connection"
            self.acknowledged = True
        elif message["type"] in ("complete", "error"):
            if self.terminals and message["seq"] == self.terminals[-1]["seq"]:
                assert _but_for_time(message) == _but_for_time(self.terminals[-1]), "an outcome changed"
            else:
                assert message["seq"] > self.newest, f"{message} steps back from {self.newest}"
            self.terminals.append(message)
        self.newest = max(self.newest, message["seq"])

    @property
    def ended_here(self) -> bool:
        return bool(self.here) and self.here[-1]["type"] in ("complete", "error")


def _but_for_time(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "timestamp"}


@pytest.fixture
def told() -> Told:
    return Told("r1")
