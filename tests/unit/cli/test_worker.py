"""`streamer worker`, and what `streamer run` says in its place."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from streamer.cli import exits
from streamer.cli.app import app

CONFIG = "version: 1\nauth: {{use: none, allow_anyone: true}}\nbackends: {}\nactions: {{echo: {{handler: echo}}}}\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoked(command, backends, *arguments):
        (tmp_path / "streamer.yaml").write_text(CONFIG.format(backends))
        return CliRunner().invoke(app, [command, *arguments])

    return invoked


def test_connections_of_one_process_have_no_worker_beside_it(run):
    done = run("worker", "{store: memory}")
    assert done.exit_code == exits.FAILED
    assert "the connections 'local' can be reached by 'streamer run' only" in done.stderr


def test_a_store_of_one_process_has_no_worker_beside_it(run):
    done = run("worker", "{store: memory, connections: {use: apigateway, region: eu-central-1}}")
    assert done.exit_code == exits.FAILED
    assert "the store 'memory' can be opened by one process only" in done.stderr


def test_an_action_that_is_not_declared_is_refused(run):
    done = run("worker", "{store: memory}", "--action", "ehco")
    assert done.exit_code == exits.USAGE
    assert "has no such action; it has echo" in done.stderr


def test_connections_that_others_hold_cannot_be_served(run, ministack):
    place = f"region: eu-central-1, endpoint_url: '{ministack}'"
    done = run("run", f"{{store: memory, connections: {{use: apigateway, {place}}}}}", "--port", "0")
    assert done.exit_code == exits.FAILED
    for advice in ("streamer worker", "streamer emulate", "streamer export"):
        assert advice in done.stderr
