"""The deployable folder, built by pip without any index: what is built from folders is judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from streamer_aws.sam import package
from streamer_aws.sam.errors import ExportError
from streamer_aws.sam.package import OWN, SERVICE, build, requirements, service_files

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

PLUGIN = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tiny-plugin"
version = "1.2.3"
[project.entry-points.streamer]
tiny = "tiny_plugin"
""",
    "tiny_plugin.py": """
import streamer

async def shout(request):
    return request.payload.upper()

@streamer.hookimpl
def streamer_handlers():
    return [streamer.handler("shout", shout)]
""",
}

LOOK = """
import json, streamer
from importlib.metadata import distributions, entry_points
print(json.dumps({
    "streamer": streamer.__file__,
    "plugins": sorted(point.name for point in entry_points(group="streamer") if point.load().__file__),
}))
"""


@pytest.fixture(autouse=True)
def no_index(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_DEPS", "1")
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # what pip takes for: none, the backend is installed here


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder in which the small plugin is installed from its own folder, as `pip install ./tiny` does."""
    source, site = tmp_path_factory.mktemp("tiny"), tmp_path_factory.mktemp("site")
    for name, text in PLUGIN.items():
        (source / name).write_text(text)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(site), str(source)], check=True, timeout=120)
    return site


@pytest.fixture
def plugin(installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    return "tiny-plugin"


@pytest.fixture
def quick(monkeypatch):
    """pip is only written down: the commands in their order."""
    commands = []
    monkeypatch.setattr(package, "_pip", lambda *arguments: commands.append(arguments) or _made(arguments))
    return commands


def _made(arguments):
    from pathlib import Path

    if arguments[0] == "install":
        Path(arguments[arguments.index("--target") + 1]).mkdir()
        return
    folder = Path(arguments[arguments.index("--wheel-dir") + 1])
    folder.mkdir(parents=True)
    (folder / "built-1-py3-none-any.whl").touch()


@pytest.mark.service
def test_the_folder_holds_the_project_the_plugin_and_the_file_and_runs_without_anything_else(
    read, small, plugin, tmp_path
):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "echo.json").write_text('{"$ref": "parts/text.json"}')
    (tmp_path / "schemas" / "parts").mkdir()
    (tmp_path / "schemas" / "parts" / "text.json").write_text('{"type": "string"}')
    settings, _ = read(small.replace("handler: echo", "handler: echo, schema: schemas/echo.json"))
    folder = tmp_path / "build" / "package"
    made = build(folder, settings, [plugin], python=PYTHON)
    assert made.size > 100_000
    assert {path.relative_to(folder / SERVICE).as_posix() for path in (folder / SERVICE).rglob("*.*")} == {
        "streamer.yaml",
        "schemas/echo.json",
        "schemas/parts/text.json",
    }
    assert (folder / SERVICE / "streamer.yaml").read_text() == settings.path.read_text()
    # Nothing is left beside it of how it was made.
    assert [path.name for path in folder.parent.iterdir()] == ["package"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    assert found["streamer"] == str(folder / "streamer" / "__init__.py")
    assert "tiny" in found["plugins"]
    assert (folder / "tiny_plugin.py").exists()


def test_pip_is_asked_for_lambdas_platform_and_for_wheels_alone(read, quick, tmp_path):
    build(tmp_path / "package", read()[0], [], python="3.13")
    (command,) = [arguments for arguments in quick if arguments[0] == "install"]
    words = " ".join(command)
    assert "--platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64" in words
    assert "--implementation cp --python-version 3.13 --only-binary=:all:" in words


def test_the_older_system_under_python_3_11_takes_only_what_it_can_load(read, quick, tmp_path):
    build(tmp_path / "package", read()[0], [], python="3.11")
    (command,) = [arguments for arguments in quick if arguments[0] == "install"]
    assert [word for word in command if word.startswith("manylinux")] == ["manylinux2014_x86_64"]


def test_what_is_installed_from_a_folder_is_built_from_it_and_the_rest_is_asked_of_the_index(quick, plugin, tmp_path):
    own, aws, tiny, pytest_itself = requirements([plugin, "pytest", plugin], tmp_path)
    assert own.startswith(OWN)
    assert aws.startswith("streamer-aws @ file://")
    assert tiny.startswith("tiny-plugin @ file://")
    assert pytest_itself == f"pytest=={pytest.__version__}"


def test_a_folder_of_somebody_else_is_left_alone(read, quick, tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "precious").write_text("work of years")
    with pytest.raises(ExportError, match="was not created by this command"):
        build(folder, read()[0], [], python=PYTHON)
    assert (folder / "precious").read_text() == "work of years"
    assert quick == []


def test_a_file_in_the_place_of_the_folder_is_left_alone(read, quick, tmp_path):
    (tmp_path / "package").write_text("a file")
    with pytest.raises(ExportError, match="was not created by this command"):
        build(tmp_path / "package", read()[0], [], python=PYTHON)


def test_a_folder_that_was_made_before_is_made_anew_as_a_whole(read, quick, tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    build(folder, read()[0], [], python=PYTHON)
    (folder / "stale").write_text("of an earlier version")
    build(folder, read()[0], [], python=PYTHON)
    assert not (folder / "stale").exists()


def test_files_that_are_asked_for_keep_their_place_and_mode(read, quick, tmp_path):
    tool = tmp_path / "tools" / "deep" / "count"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    (tmp_path / "one.txt").write_text("1")
    made = build(tmp_path / "package", read()[0], [], python=PYTHON, include=["tools", "one.txt"])
    packed = tmp_path / "package" / SERVICE / "tools" / "deep" / "count"
    assert packed.stat().st_mode & 0o111
    assert made.files == {tool, tmp_path / "one.txt"}


def test_a_file_that_is_not_there_is_told_before_anything_is_built(read, quick, tmp_path):
    with pytest.raises(ExportError, match="--include nothing: .* does not exist"):
        build(tmp_path / "package", read()[0], [], python=PYTHON, include=["nothing"])
    assert quick == []


def test_a_file_outside_of_the_configurations_folder_is_refused(read, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.write_text("x")
    with pytest.raises(ExportError, match="is outside of"):
        service_files(read()[0], [outside])


@pytest.mark.service
def test_what_pip_says_is_told_and_a_folder_of_before_stays(read, tmp_path, monkeypatch):
    folder = tmp_path / "package"
    monkeypatch.setattr(package, "requirements", lambda *_: [])
    (folder).mkdir()
    (folder / package.MARK).touch()
    monkeypatch.setattr(package, "requirements", lambda *_: ["no-such-thing==1"])
    with pytest.raises(ExportError, match=r"(?s)pip install failed:\n.*no-such-thing"):
        build(folder, read()[0], [], python=PYTHON)
    assert (folder / package.MARK).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["package", "streamer.yaml"]
