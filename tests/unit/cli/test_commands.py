"""The commands that read the configuration file: check, list, explain, config, schema, run and requests."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from streamer.cli.app import app

CONFIG = """\
version: 1
service: {name: shown}
backends:
  store: {use: sqlite, path: "${STORE_PATH:-./streamer.db}"}
middleware:
  - use: access_log
  - use: timeout
actions:
  echo:
    description: Send the payload back
    handler: echo
    estimated_duration: 10ms
  slow:
    handler: delay
    with: {delay: 2m}
    estimated_duration: 2m
"""

BROKEN = """\
version: 1
actions:
  echo:
    handlr: echo
  other:
    handler: ecko
    estimated_duration: 10
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "streamer.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, **options):
    return CliRunner().invoke(app, arguments, **options)


def test_check_says_in_one_line_what_was_checked(folder):
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("streamer.yaml: no problems: checked 2 actions, 2 middleware; ")
    assert result.stdout.count("\n") == 1


def test_check_prints_every_problem_with_its_place_and_fails(folder):
    (folder / "broken.yaml").write_text(BROKEN)
    result = run("check", "--config", "broken.yaml")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) >= 3
    assert all("broken.yaml:" in line for line in lines)
    assert any("'handlr'" in line and "handler" in line for line in lines)
    assert result.stderr == f"streamer: broken.yaml has {len(lines)} problems\n"


WARNED = """version: 1
server: {port: 0}
backends: {store: memory}
actions: {a: {handler: echo, schema: {anyOf: [{items: {$ref: '#'}}, {items: {$ref: '#'}}]}}}
"""


def test_check_prints_warnings_and_fails_for_them_only_when_it_is_strict(folder):
    (folder / "warned.yaml").write_text(WARNED)
    result = run("check", "--config", "warned.yaml")
    assert result.exit_code == 0
    warning, summary = result.stdout.splitlines()
    assert warning.startswith("warned.yaml:4:38: warning: unlisted-errors: actions.a.schema: ")
    assert "no problems" in summary
    result = run("check", "--strict", "--config", "warned.yaml")
    assert (result.exit_code, result.stdout) == (1, f"{warning}\n")
    assert result.stderr == "streamer: warned.yaml has 1 warning\n"


def test_check_reports_what_run_would_refuse(folder):
    refused = WARNED.replace("echo, schema", "command, with: {argv: [./nope.sh]}, schema")
    (folder / "refused.yaml").write_text(refused)
    result = run("check", "--config", "refused.yaml")
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "refused.yaml:4:47: bad-option: actions.a.with.argv[0]: the program './nope.sh' does"
    )


def test_other_commands_tell_the_problems_on_standard_error(folder):
    (folder / "broken.yaml").write_text(BROKEN)
    for command in ("run", "config"):
        result = run(command, "--config", "broken.yaml")
        assert (result.exit_code, result.stdout) == (1, "")
        lines = result.stderr.splitlines()
        assert all(line.startswith("streamer: ") for line in lines)
        assert lines[-1] == f"streamer: the configuration has {len(lines) - 1} problems"


@pytest.mark.parametrize("command", ["check", "run", "config"])
def test_a_file_that_is_not_there_is_named(folder, command):
    result = run(command, "--config", "nowhere.yaml")
    assert result.exit_code == 1
    assert "nowhere.yaml" in result.output
    assert "Traceback" not in result.output


def test_the_environment_names_the_file(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "named.yaml"
    other.write_text(CONFIG)
    result = run("check", env={"STREAMER_CONFIG": str(other)})
    assert result.stdout.startswith(f"{other}: no problems")


def test_list_shows_each_component_with_its_origin_and_options(folder):
    result = run("list")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["KIND", "NAME", "ORIGIN", "STABILITY", "OPTIONS", "SUMMARY"]
    echo = next(line for line in lines if line[:2] == ["handler", "echo"])
    assert echo[2] == "streamer-router"
    assert {"handler", "middleware", "store"} <= {line[0] for line in lines}


def test_list_of_one_kind_holds_only_that(folder):
    kinds = {line.split()[0] for line in run("list", "--kind", "store").stdout.splitlines()[1:]}
    assert kinds == {"store"}


def test_list_as_json_holds_the_schemas_and_the_plugins(folder):
    listed = json.loads(run("list", "--json").stdout)
    sqlite = next(found for found in listed["components"] if found["name"] == "sqlite")
    assert (sqlite["kind"], sqlite["distribution"]) == ("store", "streamer-router")
    assert "path" in sqlite["options"]["properties"]
    assert any(plugin["distribution"] == "streamer-router" for plugin in listed["plugins"])


def test_list_and_schema_need_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("list").exit_code == 0
    assert run("schema").exit_code == 0


def test_list_and_schema_work_while_the_actions_are_broken(folder):
    (folder / "broken.yaml").write_text(BROKEN)
    assert run("list", "--config", "broken.yaml").exit_code == 0
    assert run("schema", "--config", "broken.yaml").exit_code == 0


def test_explain_tells_people_and_programs_the_same(folder):
    facts = run("explain", "slow").stdout
    assert "queued: the estimate of 120s is at or above the threshold of 5s" in facts
    assert "1. access_log" in facts
    assert "3. delay (delay=2m)" in facts
    told = json.loads(run("explain", "slow", "--json").stdout)
    assert told["decision"]["queued"] is True
    assert [stage["name"] for stage in told["pipeline"]] == ["access_log", "timeout", "delay"]
    shorter = json.loads(run("explain", "echo", "--wait", "1ms", "--json").stdout)
    assert shorter["decision"]["queued"] is True


def test_explain_names_a_near_miss_of_an_action(folder):
    assert run("explain", "ecko").stderr == "streamer: streamer.yaml has no action 'ecko' (did you mean 'echo'?)\n"
    assert run("explain", "zzz").stderr == "streamer: streamer.yaml has no action 'zzz' (its actions are: echo, slow)\n"


def test_config_prints_the_settings_in_effect(folder):
    result = run("config")
    assert result.exit_code == 0
    assert "shown" in result.stdout
    assert "8080" in result.stdout


def test_schema_holds_the_options_of_the_components(folder):
    schema = json.loads(run("schema").stdout)
    assert schema["type"] == "object"
    assert "actions" in schema["properties"]


def test_schema_is_written_to_a_file(folder):
    result = run("schema", "--output", "out.json")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "out.json: written\n")
    assert json.loads((folder / "out.json").read_text())["type"] == "object"
    refused = run("schema", "--output", "nowhere/out.json")
    assert (refused.exit_code, refused.stderr) == (1, "streamer: nowhere/out.json: No such file or directory\n")


def test_requests_of_a_service_that_never_ran_say_so(folder):
    result = run("requests", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("streamer: ")
    assert "streamer.db" in result.stderr
    assert not (folder / "streamer.db").exists()


def test_requests_in_memory_can_be_seen_by_nobody_else(folder):
    (folder / "memory.yaml").write_text(
        CONFIG.replace('{use: sqlite, path: "${STORE_PATH:-./streamer.db}"}', "{use: memory}")
    )
    result = run("requests", "list", "--config", "memory.yaml")
    assert result.exit_code == 1
    assert result.stderr.startswith("streamer: memory.yaml: the store 'memory' belongs to the process of the service")
