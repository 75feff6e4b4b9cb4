"""A second start on what another service has: one clear line, and a status that says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CONFIG = """
version: 1
server: {{port: {port}}}
backends: {{store: {{use: sqlite, path: {database}}}}}
logs: {{format: json}}
actions:
  echo: {{handler: echo}}
"""


def second_start(folder: Path, **values: Any) -> subprocess.CompletedProcess[str]:
    path = folder / "second.yaml"
    path.write_text(CONFIG.format(**values))
    return subprocess.run(
        [sys.executable, "-m", "streamer", "run", "--config", str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_same_port_is_told_in_one_line(start_service: Callable[..., Any], tmp_path: Path) -> None:
    service = start_service(CONFIG.format(port=0, database="./first.db"))
    port = urlsplit(service.url).port
    ended = second_start(tmp_path, port=port, database="./second.db")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert str(port) in ended.stderr
    assert "server.port" in ended.stderr
    assert service.stop() == 0


def test_the_same_database_is_told_in_one_line(start_service: Callable[..., Any], tmp_path: Path) -> None:
    service = start_service(CONFIG.format(port=0, database="./first.db"))
    ended = second_start(tmp_path, port=0, database="./first.db")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "first.db" in ended.stderr
    assert str(service.pid) in ended.stderr
    assert service.stop() == 0


def test_one_that_waits_takes_over_as_soon_as_the_first_has_drained(
    start_service: Callable[..., Any], tmp_path: Path
) -> None:
    text = CONFIG.format(port=0, database="./first.db")
    service = start_service(text)
    port = urlsplit(service.url).port
    path = tmp_path / "second.yaml"
    path.write_text(CONFIG.format(port=port, database="./first.db"))
    with subprocess.Popen(
        [sys.executable, "-m", "streamer", "run", "--config", str(path), "--wait", "60s"],
        stderr=subprocess.PIPE,
        text=True,
    ) as second:
        assert second.stderr is not None
        assert "waiting for another service to end" in second.stderr.readline()
        assert service.stop() == 0
        line = second.stderr.readline()
        assert '"event":"ready"' in line.replace(": ", ":")
        assert f":{port}/ws" in line
        second.terminate()
        second.communicate(timeout=60)
    assert second.returncode == 0


def test_the_first_service_is_not_disturbed_and_its_place_is_free_when_it_has_gone(
    start_service: Callable[..., Any], tmp_path: Path
) -> None:
    text = CONFIG.format(port=0, database="./first.db")
    service = start_service(text)
    assert second_start(tmp_path, port=0, database="./first.db").returncode == 1
    assert service.stop() == 0
    assert start_service(text).stop() == 0
