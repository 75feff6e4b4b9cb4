"""What a start loads: nothing that a file without problems does not need."""

import os
import re
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.service  # it starts services

FILE = """
version: 1
service: {name: small}
server: {port: 0}
backends: {store: memory}
actions:
  echo: {handler: echo, schema: {type: object, properties: {text: {type: string, pattern: "^a+$"}}}}
"""
NOT_NEEDED = {
    "jsonschema",  # words problems
    "jsonschema_specifications",
    "referencing",  # follows the references of a schema
    "rich.console",  # shows progress and tracebacks on terminals
    "pygments",
    "aiohttp",  # for the handler `http`, for keys behind a URL and for the admin port
    "prometheus_client",
    "streamer.admin",
    "aiobotocore",
    "streamer.client.client",
    "streamer.testing",
    "streamer_aws.store.store",
    "streamer.stores.sqlite.store",
}


@pytest.fixture
def start(tmp_path):
    """Starts a command on a small file, with the time of each import on standard error."""
    path = tmp_path / "streamer.yaml"
    path.write_text(FILE)
    # Measuring coverage loads modules of its own into every child.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}

    def make(command, text=FILE):
        path.write_text(text)
        argv = [sys.executable, "-X", "importtime", "-m", "streamer", command, "--config", str(path)]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)

    return make


def loaded(lines):
    return {found[1] for line in lines if (found := re.match(r"import time: .*\| +(\S+)$", line.rstrip()))}


def test_a_check_loads_nothing_to_word_problems_with(start):
    with start("check") as process:
        assert loaded(process.stderr) & NOT_NEEDED == set()
    assert process.returncode == 0


def test_a_check_of_a_wrong_file_does(start):
    with start("check", FILE.replace("port: 0", "port: x")) as process:
        assert "jsonschema" in loaded(process.stderr)
    assert process.returncode != 0


def test_a_service_is_ready_without_what_others_need(start):
    with start("run") as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if '"ready"' in line:
                break
        process.send_signal(signal.SIGTERM)
        assert loaded(lines) & NOT_NEEDED == set()
        assert "streamer.transports.websocket" in loaded(lines)
        process.stderr.read()
    assert process.returncode == 0
