"""The service behind the emulator: installed on first use, started on loopback, ended with us."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import aiohttp
import pytest

from streamer.core.clock import SystemClock
from streamer.core.errors import StartError
from streamer_aws.emulator import ministack as module

pytestmark = pytest.mark.service  # it starts installers and emulators


def wheel(folder, name="ministack"):
    """A package that installs without a network, with a program that says where it is."""
    path = folder / f"{name}-0.1-py3-none-any.whl"
    info = f"{name}-0.1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}_program.py", "def main():\n    print('here')\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}_program:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


async def test_it_is_installed_once_into_an_environment_of_its_own(tmp_path):
    told = []
    home = tmp_path / "cache" / "ministack"
    program = await module.install(home, told.append, str(wheel(tmp_path)))
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "here\n"
    assert len(told) == 1
    assert str(home) in told[0]
    assert await module.install(home, told.append, "not-asked-for-again") == program
    assert len(told) == 1


async def test_what_cannot_be_installed_is_told_with_the_way_out(tmp_path, monkeypatch):
    # Its environments have a pip that finds nothing, which is quicker than a real one that finds nothing.
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\nfor home; do :; done\nmkdir -p $home/bin\n"
        "printf '#!/bin/sh\\necho first\\necho nothing found\\nexit 1' > $home/bin/python\nchmod +x $home/bin/python\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(module.sys, "executable", str(python))
    with pytest.raises(StartError, match="nothing found; or use --endpoint-url"):
        await module.install(tmp_path / "home", lambda _: None)
    assert not (tmp_path / "home" / "installed").exists()


async def test_a_python_that_is_gone_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(StartError, match="no-python"):
        await module.install(tmp_path / "home", lambda _: None)


def test_it_lives_in_the_users_cache(tmp_path):
    assert module.default_home({"XDG_CACHE_HOME": "/cache"}).parts[:3] == ("/", "cache", "streamer")
    assert module.default_home({"HOME": "/home/a"}).parts[:5] == ("/", "home", "a", ".cache", "streamer")
    assert module.VERSION in module.default_home({}).name


def test_tests_and_users_have_the_same_version():
    assert f"'{module.REQUIREMENT}'" in (Path(__file__).parents[4] / ".ci" / "run").read_text()


async def test_it_runs_on_loopback_while_it_is_needed(ministack_program):
    async with module.running(ministack_program, "eu-central-1", SystemClock()) as url:
        assert url.startswith("http://127.0.0.1:")
        async with aiohttp.ClientSession() as session, session.get(f"{url}/_ministack/health") as answer:
            assert answer.status == 200
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)


async def test_one_that_ends_at_once_is_told_with_its_last_words(tmp_path):
    program = tmp_path / "bin" / "ministack"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho first\necho no licence today >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(StartError, match="no licence today"):
        async with module.running(program, "eu-central-1", SystemClock()):
            pass


async def test_one_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LAST_WORDS", 0.01)
    program, pid = tmp_path / "bin" / "ministack", tmp_path / "pid"
    program.parent.mkdir()
    serve = "import http.server, os; http.server.HTTPServer(('127.0.0.1', int(os.environ['GATEWAY_PORT'])), H)"
    program.write_text(
        f"#!{sys.executable}\nimport http.server, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n        self.send_response(200)\n        self.end_headers()\n"
        f"open({str(pid)!r}, 'w').write(str(__import__('os').getpid()))\n{serve}.serve_forever()\n"
    )
    program.chmod(0o755)
    async with module.running(program, "eu-central-1", SystemClock()):
        pass
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_program_that_is_not_there_is_told(tmp_path):
    with pytest.raises(StartError, match="delete .* and start again"):
        async with module.running(tmp_path / "bin" / "ministack", "eu-central-1", SystemClock()):
            pass
