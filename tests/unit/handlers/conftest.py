from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from streamer.core.messages import Reporter, Request
from streamer.testing import RecordingLogger


class Recorder(Reporter):
    """Remembers every report."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, str, dict[str, Any]]] = []
        self.on_report: Callable[[], None] = lambda: None

    def report(self, percentage: float, message: str = "", **metadata: Any) -> None:
        self.reports.append((percentage, message, metadata))
        self.on_report()


class HeldClock:
    """Never waits; remembers what it was asked for."""

    def __init__(self, now: float = 1767268800.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def log() -> RecordingLogger:
    return RecordingLogger()


@pytest.fixture
def request_of(recorder: Recorder) -> Callable[..., Request]:
    def make(payload: Any = None, **fields: Any) -> Request:
        return Request(**{"id": "req-1", "action": "act", "payload": payload, "progress": recorder, **fields})

    return make


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str, str], ModuleType]]:
    """`module("jobs", "source")`: a module that child processes can import too."""
    folder = tmp_path / "modules"
    folder.mkdir()
    sys.path.insert(0, str(folder))
    names: list[str] = []

    def make(name: str, source: str) -> ModuleType:
        (folder / f"{name}.py").write_text(dedent(source))
        names.append(name)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    sys.path.remove(str(folder))
    for name in names:
        del sys.modules[name]
