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


class Log:
    """A logger in the way of structlog: text, and what is bound."""

    def __init__(self, **bound: Any) -> None:
        self.bound = bound
        self.lines: list[tuple[str, str]] = []

    def bind(self, **more: Any) -> Log:
        other = Log(**self.bound, **more)
        other.lines = self.lines
        return other

    def _write(self, level: str, text: str, *arguments: Any) -> None:
        self.lines.append((level, text % arguments if arguments else text))

    def info(self, text: str, *arguments: Any) -> None:
        self._write("info", text, *arguments)

    def warning(self, text: str, *arguments: Any) -> None:
        self._write("warning", text, *arguments)

    def error(self, text: str, *arguments: Any) -> None:
        self._write("error", text, *arguments)

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.lines)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def log() -> Log:
    return Log()


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
