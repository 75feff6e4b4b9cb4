"""The admin port of a service that was started as its users start it."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

pytest.importorskip("prometheus_client", reason="the extra admin is not installed")

TOKEN = "0123456789abcdef0123456789abcdef"
CONFIG = """
version: 1
server: {port: 0, drain_timeout: 30s}
backends: {store: {use: sqlite, path: ./queue.db}}
admin: {enabled: true, port: 0, token: "${STREAMER_ADMIN_TOKEN}"}
actions:
  echo: {handler: echo}
  nap: {handler: delay, with: {delay: 1h}, mode: async}
"""


def ask(url, path, *, token=TOKEN, method="GET"):
    """The status and the text of an answer."""
    request = urllib.request.Request(f"{url}{path}", method=method)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.read().decode()


def call(service, *arguments):
    command = [sys.executable, "-m", "streamer", "call", "--url", service.url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def service(start_service):
    return start_service(CONFIG, STREAMER_ADMIN_TOKEN=TOKEN)


@pytest.fixture
def url(service):
    (line,) = [line for line in service.log if line.get("event") == "admin port"]
    return line["url"]


def test_it_serves_metrics_and_answers_operators_of_a_real_service(service, url):
    assert call(service, "echo", "1").returncode == 0
    status, text = ask(url, "/metrics")
    assert status == 200
    assert 'streamer_requests_total{action="echo",mode="direct",outcome="completed"} 1.0' in text
    assert ask(url, "/metrics", token=None)[0] == 401
    assert ask(url, "/livez", token=None) == (200, "ok\n")
    _, text = ask(url, "/admin/v1/config")
    assert json.loads(text)["config"]["admin"]["token"] == "***"
    assert TOKEN not in "".join(service.raw)
    assert service.stop() == 0


def test_a_drain_is_seen_by_the_probe_before_the_ports_close(service, url):
    assert call(service, "nap", "{}", "--timeout", "1s").returncode == 5
    while '"running":1' not in ask(url, "/admin/v1/workers")[1]:
        pass
    service.interrupt()
    while ask(url, "/readyz", token=None)[0] != 503:
        pass
    assert ask(url, "/readyz", token=None) == (503, "draining\n")
    assert ask(url, "/livez", token=None)[0] == 200
    ended = json.loads(ask(url, "/admin/v1/requests?status=PROCESSING")[1])["requests"][0]["id"]
    assert ask(url, f"/admin/v1/requests/{ended}/cancel", method="POST")[0] == 200
    assert service.wait() == 0
    with pytest.raises(OSError):
        ask(url, "/livez")


def test_the_check_refuses_an_open_port_and_says_how_to_close_it(tmp_path):
    path = tmp_path / "streamer.yaml"
    path.write_text("version: 1\nadmin: {enabled: true, host: 0.0.0.0}\n")
    for command in ("check", "run"):
        done = subprocess.run(
            [sys.executable, "-m", "streamer", command, "--config", str(path)],
            capture_output=True, text=True, check=False, env=dict(os.environ), timeout=60,
        )  # fmt: skip
        assert done.returncode == 1
        assert "admin-without-token" in done.stdout + done.stderr
        assert "set admin.token: ${STREAMER_ADMIN_TOKEN}" in done.stdout + done.stderr
