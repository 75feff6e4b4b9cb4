"""The command line and a really running service: `streamer run`, `call`, `requests`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

CONFIG = """
version: 1
server: {port: 0}
backends:
  store: {use: sqlite, path: ./streamer.db}
middleware:
  - use: access_log
actions:
  echo:
    description: Send the payload back
    handler: echo
    estimated_duration: 10ms
  checked:
    handler: echo
    estimated_duration: 10ms
    schema:
      type: object
      properties: {age: {type: integer}, name: {type: string}}
      required: [age]
  report:
    handler: delay
    with: {delay: 300ms}
    estimated_duration: 10s
  long:
    handler: delay
    with: {delay: 10m}
    estimated_duration: 10m
  broken:
    handler: command
    with: {argv: ["false"]}
    estimated_duration: 10s
    retry: {max_attempts: 1}
"""


def streamer(*arguments, cwd=None, stdin=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "streamer", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
    )


@pytest.fixture
def service(start_service):
    return start_service(CONFIG)


@pytest.fixture
def call(service):
    def run(*arguments, **options):
        return streamer("call", *arguments, "--url", service.url, **options)

    return run


@pytest.fixture
def requests(service):
    def run(*arguments, **options):
        return streamer("requests", *arguments, "--config", str(service.config), **options)

    return run


def test_a_short_request_is_answered_and_a_long_one_ends_with_its_progress_shown(call):
    short = call("echo", '{"hello": "world"}')
    assert (short.returncode, short.stderr) == (0, "")
    assert json.loads(short.stdout)["echo"] == {"hello": "world"}

    long = call("report", "{}")
    assert long.returncode == 0, long.stderr
    json.loads(long.stdout)
    assert "100%" in long.stderr

    lines = [json.loads(line) for line in call("report", "{}", "--json", "--id", "r1").stdout.splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds[0] == "acknowledgment"
    assert set(kinds[1:-1]) == {"progress"}
    assert kinds[-1] == "complete"
    assert {line["request_id"] for line in lines} == {"r1"}


def test_each_way_to_fail_has_its_status(call):
    wrong = call("checked", '{"name": 5}')
    assert wrong.returncode == 6
    assert wrong.stderr.startswith("streamer: VALIDATION_ERROR: ")
    assert "  /name: " in wrong.stderr
    assert "  (the whole payload): " in wrong.stderr

    unknown = call("ecko")
    assert unknown.returncode == 7
    assert "echo" in unknown.stderr

    assert call("broken", "{}").returncode == 1

    late = call("long", "{}", "--timeout", "500ms", "--id", "late")
    assert late.returncode == 5
    assert late.stderr.endswith("request 'late' is queued and will continue\n")


def test_the_file_says_where_the_service_is(start_service, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    service = start_service(CONFIG.replace("port: 0", f"port: {port}"))
    found = streamer("call", "echo", "5", cwd=service.config.parent)
    assert (found.returncode, found.stderr) == (0, "")
    named = streamer("call", "echo", "5", STREAMER_CONFIG=str(service.config), cwd="/")
    assert named.returncode == 0
    assert service.stop() == 0
    gone = streamer("call", "echo", "5", cwd=service.config.parent)
    assert gone.returncode == 3
    assert gone.stderr.count("\n") == 1


def test_an_operator_sees_steers_and_reads_the_requests_of_a_running_service(call, requests):
    assert call("report", "{}", "--id", "good", "--client-id", "ann").returncode == 0
    assert call("broken", '{"a": 1}', "--id", "bad", "--client-id", "ann").returncode == 1
    assert call("long", "{}", "--id", "long", "--client-id", "bob", "--timeout", "300ms").returncode == 5

    listed = requests("list", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    states = {record["id"]: record["status"] for record in map(json.loads, listed.stdout.splitlines())}
    assert states == {"good": "COMPLETED", "bad": "FAILED", "long": "PROCESSING"}

    failed = requests("list", "--status", "failed")
    titles = failed.stdout.splitlines()[0].split()
    assert titles == ["ID", "ACTION", "FAILED", "ATTEMPTS", "ERROR", "MESSAGE"]
    assert "ann" not in failed.stdout, "an owner's name holds its secret"
    assert len(failed.stdout.splitlines()) == 2
    assert "bad" in failed.stdout

    good = json.loads(requests("show", "good").stdout)
    assert (good["status"], good["payload"], good["percentage"]) == ("COMPLETED", {}, 100.0)
    assert good["result"]["success"] is True
    bad = json.loads(requests("show", "bad", "--json").stdout)
    assert (bad["payload"], bad["error"]["code"]) == ({"a": 1}, "INTERNAL_ERROR")

    cancelled = requests("cancel", "long", "--json")
    assert cancelled.returncode == 0, cancelled.stderr
    assert json.loads(cancelled.stdout)["status"] == "CANCELLED"
    again = requests("cancel", "long")
    assert again.returncode == 1
    assert again.stderr.startswith("streamer: ")
    assert "already CANCELLED" in again.stderr

    retried = requests("retry", "bad")
    assert retried.returncode == 0, retried.stderr
    assert retried.stdout.endswith(" is PENDING\n")
    refused = requests("retry", "good")
    assert refused.returncode == 1
    assert "only FAILED and CANCELLED requests can run again" in refused.stderr

    nobody = requests("show", "nothing")
    assert (nobody.returncode, nobody.stderr) == (1, "streamer: no request 'nothing' in this store\n")


def test_an_id_of_several_owners_asks_for_the_owner(call, requests):
    for owner in ("ann", "bob"):
        assert call("report", "{}", "--id", "same", "--client-id", owner).returncode == 0
    unclear = requests("show", "same")
    assert unclear.returncode == 2
    assert "--owner" in unclear.stderr
    owners = [json.loads(line)["owner"] for line in requests("list", "--json").stdout.splitlines()]
    assert len(set(owners)) == 2
    for owner in owners:
        assert json.loads(requests("show", "same", "--owner", owner).stdout)["owner"] == owner


def test_a_second_service_on_the_same_port_or_store_says_so_in_one_line(service, tmp_path):
    port = service.url.rpartition(":")[2].partition("/")[0]
    same_store = streamer("run", "--config", str(service.config))
    assert same_store.returncode == 1
    assert "Traceback" not in same_store.stderr
    assert same_store.stderr.splitlines()[-1].startswith("streamer: ")
    other = tmp_path / "other"
    other.mkdir()
    (other / "streamer.yaml").write_text(CONFIG)
    same_port = streamer("run", "--config", str(other / "streamer.yaml"), "--port", port)
    assert same_port.returncode == 1
    assert "Traceback" not in same_port.stderr
    assert port in same_port.stderr.splitlines()[-1]


def test_sigterm_ends_the_service_with_status_0(service):
    assert service.stop() == 0
    assert service.log[-1]["event"] == "stopped"
