"""The benchmark's own words."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.__main__ import PEERS
from benchmarks.build import python_build

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("'--enable-optimizations' '--with-lto'", "built with PGO and with LTO"),
        ("--with-lto=full --enable-optimizations", "built with PGO and with LTO"),
        ("'--prefix=/usr'", "built without PGO and without LTO (one with both is"),
        ("'--without-lto'", "without LTO"),
        ("", "does not say"),
    ],
)
def test_the_python_build_is_named(arguments, words):
    assert words in python_build(arguments)


def test_the_build_of_this_python_is_named_by_its_version():
    assert ".".join(map(str, sys.version_info[:3])) in python_build()


def test_the_bench_extra_brings_what_the_peers_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {re.match(r"[\w-]+", line)[0] for line in project["optional-dependencies"]["bench"]}
    assert set(PEERS) <= extra


def test_a_missing_peer_is_named_with_a_command_that_installs_it():
    program = (
        "import sys; sys.modules['fastapi'] = None; import benchmarks.__main__ as main; sys.argv = ['x']; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "fastapi" in done.stderr
    assert "pip install -e '.[bench]'" in done.stderr
