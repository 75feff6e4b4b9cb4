"""Names of `streamer.testing`: found when they are used, and costing nothing before."""

from __future__ import annotations

import subprocess
import sys

import pytest

import streamer.testing


@pytest.mark.parametrize("name", streamer.testing.__all__)
def test_every_public_name_is_there(name):
    assert getattr(streamer.testing, name).__name__ == name


def test_a_name_that_is_not_there_is_told():
    with pytest.raises(AttributeError, match="'streamer.testing' has no attribute 'StoreConformity'"):
        _ = streamer.testing.StoreConformity


def test_the_clock_and_the_doubles_need_neither_pytest_nor_hypothesis():
    script = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from streamer.testing import ManualClock, MockConnectionManager\n"
        "print(sorted({'pytest', 'hypothesis'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.service
def test_the_suite_says_what_it_saw_where_it_fails(tmp_path):
    (tmp_path / "test_forgetful.py").write_text(
        "import pytest\n"
        "from streamer.stores.memory import MemoryStore\n"
        "from streamer.testing import StoreConformance\n"
        "class Forgetful(MemoryStore):\n"
        "    async def find(self, id, /):\n"
        "        return []\n"
        "class TestForgetful(StoreConformance):\n"
        "    @pytest.fixture\n"
        "    async def store(self, clock):\n"
        "        return Forgetful(clock, self.max_queued)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
    script = (
        f"import sys, runpy; sys.path[:] = {sys.path!r}; sys.argv[:] = {[*command[2:], '-k', 'unique_per_owner']!r}"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; runpy.run_module('pytest', run_name='__main__')"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout
    assert "Extra items in the right set" in done.stdout
