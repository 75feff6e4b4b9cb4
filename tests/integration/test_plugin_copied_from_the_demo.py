"""A plugin of one's own, made as the demo's README says: copied, renamed, installed by pip, used by its own name."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "plugins" / "demo"

FIND = """
import json
from importlib.metadata import entry_points
from pathlib import Path
from streamer import BuildContext, Request

point, = [point for point in entry_points(group="streamer") if point.name == "acme"]
components = {component.name: component for component in point.load().streamer_handlers()}
built = components["create_user"].factory({"data_dir": "./data"}, BuildContext(base_dir=Path.cwd()))
user = built.function(
    Request(id="1", action="create_user", payload={"name": "Ada", "email": "ada@example.com"}), **built.options
)
print(json.dumps({
    "distribution": point.dist.name,
    "value": point.value,
    "handlers": sorted(components),
    "modules": sorted({component.factory.__module__ for component in components.values()}),
    "function": built.function.__module__,
    "user": user["id"],
}))
"""


def run(*command, cwd, **environment):
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A folder with `plugins/acme`, and the folder that pip installed it into."""
    here = tmp_path_factory.mktemp("copied")
    shutil.copytree(DEMO, here / "plugins" / "demo", ignore=shutil.ignore_patterns("__pycache__"))
    steps = re.search(
        r"<!-- copy: begin -->\n```sh\n(.*?)```\n<!-- copy: end -->", (DEMO / "README.md").read_text(), re.DOTALL
    )
    run("sh", "-euc", steps[1], cwd=here)
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    run(sys.executable, "-m", "pip", "install", *offline, "--target", "site", "./plugins/acme", cwd=here)
    return here, here / "site"


def test_nothing_of_the_demos_name_is_left(copied):
    here, _ = copied
    for path in (here / "plugins" / "acme").rglob("*"):
        assert "demo" not in path.name
        if path.suffix in {".py", ".toml", ".json"}:
            left = [line for line in path.read_text().splitlines() if re.search(r"streamer[-_]demo|demo\.\w", line)]
            assert not left, f"{path}: {left}"


def test_it_is_found_by_its_entry_point_and_works_by_its_own_name(copied):
    here, site = copied
    found = json.loads(run(sys.executable, "-c", FIND, cwd=here, PYTHONPATH=str(site)))
    assert found == {
        "distribution": "streamer-acme",
        "value": "streamer_acme.plugin",
        "handlers": ["bulk_operation", "create_user", "generate_report", "process_data"],
        "modules": ["streamer.contracts.components"],
        "function": "streamer_acme.create_user",
        "user": "usr_000001",
    }


def test_its_tests_pass(copied):
    here, site = copied
    tests = [f"plugins/acme/tests/test_{name}.py" for name in ("plugin", "create_user", "files")]
    # Without the options of this run, such as those for coverage: the copy stands by itself.
    plain = {"PYTHONPATH": str(site), "PYTEST_ADDOPTS": ""}
    said = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=here, **plain)
    assert " passed" in said
