"""`streamer emulate aws` as a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from streamer.cli.app import app
from streamer_aws.emulator import ministack as places

CONFIG = """\
version: 1
auth: {use: none, allow_anyone: true}
backends:
  store: {use: dynamodb, region: eu-central-1, prefix: PREFIX}
  connections: {use: apigateway, region: eu-central-1, prefix: PREFIX}
actions:
  echo: {handler: echo, description: "${GREETING:-Nothing}"}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "streamer.yaml"
    path.write_text(CONFIG.replace("PREFIX", f"{tmp_path.name[-20:]}-"))
    return path


class Running:
    """The command, read until it is ready."""

    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamer", "emulate", "aws", "--port", "0", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.lines = []
        self.ready = {}
        for line in self.process.stderr:
            self.lines.append(line)
            if '"ready"' in line:
                self.ready = json.loads(line)
                break

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        self.lines.append(err)
        assert out == ""
        return self.process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_when_it_is_told(config, ministack, number):
    # A profile that is not there would stop every client of AWS.
    command = Running("--config", config, "--endpoint-url", ministack, "--limit", "url=300", AWS_PROFILE="somebody's")
    assert command.ready, command.lines
    assert command.ready["url"].startswith("ws://127.0.0.1:")
    assert command.ready["url"].endswith("/local")
    with urllib.request.urlopen(command.ready["faults"], timeout=10) as answer:
        assert json.load(answer) == {"planned": [], "happened": {}}
    with pytest.raises(InvalidStatus, match="414"):
        connect(command.ready["url"] + "?a=" + "x" * 300)
    assert command.stop(number) == 0
    assert '"stopped"' in command.lines[-1]


@pytest.mark.parametrize("mode", ["--in-process", "--processes"])
def test_a_client_talks_to_the_service_and_its_file_is_filled_from_the_environment(config, ministack, mode):
    command = Running("--config", config, "--endpoint-url", ministack, mode, "--sandboxes", "1", GREETING="Says hello")
    assert command.ready, command.lines
    with connect(command.ready["url"], open_timeout=30) as client:
        client.send(json.dumps({"action": "streamer.actions", "id": "a"}))
        (echo,) = json.loads(client.recv(timeout=30))["data"]["actions"]
        assert echo["description"] == "Says hello"
    assert command.stop() == 0


@pytest.mark.service
def test_without_an_endpoint_it_starts_a_service_of_its_own(config, ministack_program, tmp_path):
    home = tmp_path / "cache" / "streamer" / places.default_home({}).name
    (home / "bin").mkdir(parents=True)
    (home / "installed").touch()
    (home / "bin" / "ministack").symlink_to(ministack_program)
    command = Running("--config", config, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert command.ready, command.lines
    behind = command.ready["behind"]
    assert behind.startswith("http://127.0.0.1:")
    assert command.stop() == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(behind, timeout=5)


@pytest.mark.service
def test_a_signal_while_it_starts_ends_it_too(config, tmp_path):
    home = tmp_path / "cache" / "streamer" / places.default_home({}).name
    (home / "bin").mkdir(parents=True)
    (home / "installed").touch()
    told = tmp_path / "told"
    os.mkfifo(told)
    program = home / "bin" / "ministack"
    program.write_text(f"#!/bin/sh\necho $$ > {told}\nexec sleep 60\n")
    program.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer", "emulate", "aws", "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    pid = int(told.read_text())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert '"stopped"' in err
    assert not Path(f"/proc/{pid}").exists()


def refused(*arguments):
    result = CliRunner().invoke(app, ["emulate", "aws", *map(str, arguments)])
    assert result.exit_code, result.output
    return result.stderr


def test_another_store_is_refused(tmp_path):
    path = tmp_path / "streamer.yaml"
    path.write_text("version: 1\nactions:\n  echo: {handler: echo}\n")
    assert "use: dynamodb" in refused("--config", path)


@pytest.mark.parametrize(
    ("component", "option"),
    [("dynamodb", "endpoint_url"), ("apigateway", "endpoint_url"), ("apigateway", "endpoint")],
)
def test_a_file_that_names_its_endpoints_would_go_around_the_emulator(config, component, option):
    config.write_text(
        config.read_text().replace(f"{{use: {component},", f"{{use: {component}, {option}: 'http://x:1',")
    )
    kind = "store" if component == "dynamodb" else "connections"
    told = refused("--config", config)
    assert f"backends.{kind} sets {option!r}" in told
    assert "--endpoint-url" in told


def test_connections_of_one_process_are_not_those_of_aws(config):
    config.write_text(config.read_text().replace("connections: {use: apigateway", "#"))
    assert "AWS requires 'backends: {connections: {use: apigateway}}'" in refused("--config", config)


@pytest.mark.parametrize("limit", ["nothing=1", "idle", "idle=x", "idle=0", "frame=1.5", "frame=-1"])
def test_a_limit_that_is_none_is_refused(config, limit):
    assert f"--limit {limit}" in refused("--config", config, "--limit", limit)


def test_missing_packages_are_told_with_what_installs_them(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "streamer_aws.emulator.emulator", None)
    assert "pip install 'streamer-router[emulator]'" in refused("--config", config)


def test_processes_need_the_runtime(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "awslambdaric", None)
    assert "pip install awslambdaric" in refused("--config", config, "--processes")


def test_a_port_that_is_taken_is_one_line(config, ministack):
    command = Running("--config", config, "--endpoint-url", ministack)
    port = command.ready["url"].rpartition(":")[2].partition("/")[0]
    second = Running("--config", config, "--endpoint-url", ministack, "--port", port)
    assert second.process.wait(30) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in second.lines[-1]
    command.stop()
    second.process.communicate()
