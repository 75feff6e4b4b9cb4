"""The files of the JavaScript client as they are served."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import streamer
from streamer.transports.client_files import load, unchanged

FOLDER = Path(streamer.__file__).parent / "client" / "js"


def test_every_file_of_the_package_is_served_under_its_own_name():
    files = load()
    assert {path: file.text for path, file in files.items()} == {
        f"/{file.name}": file.read_text() for file in FOLDER.iterdir() if file.suffix in (".js", ".ts")
    }
    assert len({file.etag for file in files.values()}) == len(files)


@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling, which builds the wheel, is not installed")
def test_a_wheel_holds_them(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=FOLDER.parents[2], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("streamer/client/js/")}
    assert held == {f"streamer/client/js/{path.relative_to(FOLDER)}" for path in FOLDER.rglob("*.*")}


def test_the_tag_is_the_same_in_every_process():
    assert load() == load()


@pytest.mark.parametrize(("known", "expected"), [(None, False), ("", False), ('"b"', False), ('"a"', True)])
def test_a_tag_is_compared_whole(known, expected):
    assert unchanged(known, '"a"') is expected


async def test_the_client_is_answered_on_the_web_sockets_port(serve):
    server = await serve()
    request = b"GET /streamer.js HTTP/1.1\r\nHost: x\r\n%b\r\n"
    status, headers, body = await server.http(request % b"")
    assert status == 200
    assert body == (FOLDER / "streamer.js").read_bytes()
    assert headers[b"access-control-allow-origin"] == b"*"
    assert headers[b"cache-control"] == b"no-cache"
    status, headers, body = await server.http(request % (b"If-None-Match: " + headers[b"etag"] + b"\r\n"))
    assert (status, body) == (304, b"")
    assert b"content-length" not in headers
    assert not server.peers


async def test_a_service_that_does_not_serve_the_client_knows_no_such_path(serve):
    server = await serve(serve_client=False)
    for name in (b"streamer.js", b"streamer.d.ts"):
        assert (await server.http(b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % name))[0] == 404
