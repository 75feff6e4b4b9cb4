"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class RunningService:
    """`python -m streamer run` as a real process, with its log read line by line."""

    def __init__(self, config: Path, environment: dict[str, str]) -> None:
        self.config = config
        self.log: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamer", "run", "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            cwd=config.parent,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self.raw.append(line)
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    self.log.append(entry)
                    if entry.get("event") == "ready":
                        self.url = entry["url"]
                        self._ready.set()
        self._ready.set()

    def wait_ready(self) -> RunningService:
        assert self._ready.wait(30), "the service did not become ready in 30 seconds"
        assert self.url, f"the service did not start:\n{''.join(self.raw)}"
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def http_url(self) -> str:
        return self.url.replace("ws", "http", 1).removesuffix("/ws")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(10)

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        status = self._process.wait(60)
        self._reader.join(10)
        return status


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., RunningService]]:
    """Starts a service of a configuration text on a free port; several may be started one after another."""
    started: list[RunningService] = []

    def start(config: str | Path, **environment: str) -> RunningService:
        path = config if isinstance(config, Path) else tmp_path / "streamer.yaml"
        if isinstance(config, str):
            path.write_text(config)
        service = RunningService(path, environment)
        started.append(service)
        return service.wait_ready()

    yield start
    for service in started:
        if service._process.poll() is None:
            service.kill()


@pytest.fixture(scope="session")
def service_class() -> type[RunningService]:
    """For services that live longer than one test."""
    return RunningService


@pytest.fixture
def seed() -> int:
    """The seed of a random test: printed, and taken from STREAMER_TEST_SEED to run one again."""
    value = int(os.environ.get("STREAMER_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"\nSTREAMER_TEST_SEED={value}")
    return value


@pytest.fixture(params=["asyncio", "uvloop"])
def any_loop(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """A runner on each kind of loop."""
    import uvloop

    factory = uvloop.new_event_loop if request.param == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner
