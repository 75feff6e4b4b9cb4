"""`streamer export`."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner

from streamer.cli.app import app
from streamer_aws.sam import package

CONFIG = """
version: 1
auth: {use: none, allow_anyone: true}
service: {name: cloud}
backends:
  store: {use: dynamodb}
  connections: {use: apigateway}
actions:
  echo: {handler: echo, timeout: 10s}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streamer.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def built(monkeypatch):
    """What the folder would be built of."""
    asked = []

    def build(folder, settings, plugins, **more):
        asked.append((folder, list(plugins), more))
        return package.Package(files=frozenset(), size=300 << 20)

    monkeypatch.setattr(package, "build", build)
    return asked


def run(*arguments):
    return CliRunner().invoke(app, ["export", "sam", *arguments])


def test_the_template_is_printed_and_notes_stay_out_of_it(folder):
    done = run()
    assert done.exit_code == 0
    made = yaml.safe_load(done.stdout)
    assert made["Transform"] == "AWS::Serverless-2016-10-31"
    assert made["Globals"]["Function"]["CodeUri"] == "./package"
    assert done.stderr == "note: auth: clients are not authenticated, so everybody who knows the URL may connect\n"


def test_the_template_is_written_to_a_file_and_is_the_same_each_time(folder):
    assert run("--output", "template.yaml").stderr.endswith("template.yaml: written\n")
    assert (folder / "template.yaml").read_text() == run().stdout


def test_what_wakes_and_the_version_of_python_can_be_chosen(folder):
    made = yaml.safe_load(run("--wake", "streams", "--python", "3.12").stdout)
    assert made["Globals"]["Function"]["Runtime"] == "python3.12"
    assert made["Resources"]["ProcessorFunction"]["Properties"]["Events"]["Wake"]["Type"] == "DynamoDB"


def test_the_template_names_the_folder_from_where_it_lies_itself(folder, built):
    (folder / "aws").mkdir()
    done = run("--output", "aws/template.yaml", "--package", "build/package", "--include", "tools")
    made = yaml.safe_load((folder / "aws" / "template.yaml").read_text())
    assert made["Globals"]["Function"]["CodeUri"] == "../build/package"
    ((place, plugins, more),) = built
    assert place == folder / "build" / "package"
    assert "streamer-router" not in plugins
    assert [str(path) for path in more["include"]] == ["tools"]
    assert more["python"] == "3.13"
    assert "build/package: it has 300 MB, but Lambda accepts 250" in done.stderr


def test_files_are_included_in_a_folder_only(folder):
    done = run("--include", "tools")
    assert done.exit_code == 2
    assert "--package" in done.stderr


def test_nothing_is_built_of_a_file_for_elsewhere(folder, built):
    (folder / "streamer.yaml").write_text(CONFIG.replace("use: dynamodb", "use: memory"))
    done = run("--package", "package")
    assert done.exit_code == 1
    assert "backends.store" in done.stderr
    assert built == []
