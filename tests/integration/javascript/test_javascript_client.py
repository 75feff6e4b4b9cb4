"""The JavaScript client in Node: what it promises, its types, and itself against a real service."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from client_traces.walks import walk

from streamer.client.machine.state import final_close

HERE = Path(__file__).parent
CLIENT = HERE.parents[2] / "streamer" / "client" / "js"
CONFIG = """
version: 1
server: {port: 0, drain_timeout: 0s}
backends: {store: {use: sqlite, path: ./requests.db}}
worker: {progress_interval: 10ms, lease: 5s}
logs: {format: json}
actions:
  echo:
    handler: echo
    schema: {type: object, properties: {n: {type: integer}}, required: [n]}
  nap:
    handler: delay
    with: {delay: 300ms}
    mode: async
    retry: {max_attempts: 10}
  stroll:
    handler: delay
    with: {delay: 1500ms}
    mode: async
  long:
    handler: delay
    with: {delay: 1h}
    mode: async
  stuck:
    handler: delay
    with: {delay: 1h}
    estimated_duration: 1ms
    timeout: 1h
"""
LARGE = """
version: 1
server: {port: 0, max_message_size: 4MiB}
service: {max_result_size: 3MiB}
backends: {store: memory}
logs: {format: json}
actions:
  direct: {handler: echo}
  queued: {handler: echo, mode: async}
"""
TOKENS = """
version: 1
server: {port: 0}
backends: {store: {use: sqlite, path: ./requests.db}}
logs: {format: json}
auth: {use: jwt, secret: "${JWT_SECRET}", algorithms: [HS256], leeway: 0s}
actions:
  walk:
    handler: delay
    with: {delay: 5s}
    mode: async
"""
LIMIT = 120
"""Seconds after which a script is stuck; it takes a few."""


def run_tests(node: list[str], name: str, **environment: str) -> None:
    done = subprocess.run(
        [*node, "--test", "--test-timeout=60000", "--test-reporter=spec", str(HERE / name)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"pass [1-9]", done.stdout), done.stdout


@pytest.mark.parametrize("form", ["streamer.js", "src/streamer.js"])
def test_what_the_client_promises_holds(node: list[str], form: str) -> None:
    run_tests(node, "client.test.mjs", STREAMER_JS=str(CLIENT / form))


def test_its_state_machine_answers_as_the_traces_say_and_as_the_python_clients_does(
    node: list[str], tmp_path: Path
) -> None:
    walks = [{"options": options, "steps": steps} for options, steps in map(walk, range(150))]
    (tmp_path / "walks.json").write_text(json.dumps(walks))
    run_tests(node, "machine.test.mjs", WALKS=str(tmp_path / "walks.json"))


def test_both_clients_give_up_after_the_same_close_codes(node: list[str]) -> None:
    codes = range(1000, 5000)
    ask = (
        f"const {{ finalClose }} = await import({json.dumps(str(CLIENT / 'src/state.js'))});"
        f"const codes = Array.from({{ length: {len(codes)} }}, (_, index) => {codes.start} + index);"
        "console.log(JSON.stringify(codes.filter(finalClose)))"
    )
    done = subprocess.run([*node, "--input-type=module", "-e", ask], capture_output=True, text=True, check=True)
    final = json.loads(done.stdout)
    assert len(final) > 500
    assert final == [code for code in codes if final_close(code)]


def test_odd_options_missing_tokens_and_deadly_requests_do_no_harm(node: list[str]) -> None:
    run_tests(node, "robust.test.mjs")


def test_a_message_that_is_too_large_ends_its_request_alone(
    node: list[str], start_service: Callable[..., Any], node_package: Callable[[str], Path]
) -> None:
    service = start_service(LARGE)
    run_tests(node, "large.test.mjs", STREAMER_URL=service.url, WS=str(node_package("ws") / "wrapper.mjs"))
    assert service.stop() == 0


def test_it_works_with_a_real_service_over_a_network_that_breaks(
    node: list[str], start_service: Callable[..., Any]
) -> None:
    service = start_service(CONFIG)
    run_tests(node, "service.test.mjs", STREAMER_URL=service.url)
    assert service.stop() == 0


def test_it_works_with_tokens_that_expire(node: list[str], start_service: Callable[..., Any]) -> None:
    secret = secrets.token_hex(32)
    service = start_service(TOKENS, JWT_SECRET=secret)
    run_tests(node, "tokens.test.mjs", STREAMER_URL=service.url, JWT_SECRET=secret)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_waiting_outlives_the_service(node: list[str], start_service: Callable[..., Any], end: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = start_service(CONFIG.replace("port: 0", f"port: {port}"))
    with subprocess.Popen(
        [*node, str(HERE / "outlives.mjs")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "STREAMER_URL": service.url},
    ) as script:
        try:
            assert script.stdout is not None
            assert json.loads(script.stdout.readline())["acknowledged"]
            getattr(service, end)()
            start_service(service.config)
            ended = json.loads(script.stdout.readline())
            assert ended["result"]["steps"] == 10
            assert ended["seen"] == sorted(set(ended["seen"]))
            assert json.loads(script.stdout.readline())["echo"]["echo"] == {"n": 1}
            assert script.wait(LIMIT) == 0
        finally:
            script.kill()


def test_the_declared_types_fit_a_program(tsc: str) -> None:
    options = [
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2022,dom",
        "--types",
        "",
    ]
    done = subprocess.run([tsc, *options, str(HERE / "sample.ts")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_method_option_and_part_of_a_handle_is_documented() -> None:
    page = (HERE.parents[2] / "docs/reference/javascript.md").read_text()
    declared = (CLIENT / "streamer.d.ts").read_text()
    names: set[str] = set()
    for block in ("interface ClientOptions", "interface RequestOptions", "interface RequestHandle", "class "):
        for part in declared.split(f"export {block}")[1:]:
            names |= set(re.findall(r"^  (?:readonly )?(\w+)[?<(:]", part.partition("\n}")[0], re.MULTILINE))
    assert len(names) > 40
    assert [name for name in sorted(names - {"constructor"}) if not re.search(rf"`{name}[`({{]", page)] == []


def test_what_is_declared_is_what_there_is(node: list[str]) -> None:
    ask = (
        f"const all = await import({json.dumps(str(CLIENT / 'streamer.js'))});"
        "console.log(JSON.stringify([Object.keys(all), Object.getOwnPropertyNames(all.StreamerClient.prototype)]))"
    )
    done = subprocess.run([*node, "--input-type=module", "-e", ask], capture_output=True, text=True, check=True)
    exported, methods = json.loads(done.stdout)
    declared = (CLIENT / "streamer.d.ts").read_text()
    assert set(exported) == set(re.findall(r"^export class (\w+)", declared, re.MULTILINE))
    client = declared[declared.index("export class StreamerClient") :].partition("\n}")[0]
    assert set(methods) - {"state"} == set(re.findall(r"^  (\w+)[<(]", client, re.MULTILINE))
