"""The database file is taken away from under a running service: nothing more is acknowledged, and it says so."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamer.client import StreamerClient
from streamer.client.errors import RequestFailed

CONFIG = """
version: 1
server: {port: 0, drain_timeout: 100ms}
backends: {store: {use: sqlite, path: ./requests.db}}
logs: {format: json}
worker: {poll_interval: 100ms}
actions:
  later: {handler: delay, mode: async, with: {delay: 1h}}
"""


def health(url: str) -> tuple[int, str]:
    address = url.replace("ws://", "http://").removesuffix("/ws") + "/healthz"
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


async def until_health(url: str, status: int) -> str:
    async with asyncio.timeout(90):
        while True:
            found, text = await asyncio.to_thread(health, url)
            if found == status:
                return text
            await asyncio.sleep(0.05)


def put_a_backup_over(path: Path) -> None:
    copy = path.with_suffix(".copy")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    path.write_bytes(copy.read_bytes())


@pytest.mark.parametrize("damage", [Path.unlink, put_a_backup_over])
async def test_what_cannot_be_kept_is_not_acknowledged(
    start_service: Callable[..., Any], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    service = start_service(CONFIG)
    (path,) = tmp_path.rglob("requests.db")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with StreamerClient(service.url) as client:
        assert await (await client.submit("later", 1)).acknowledged()
        assert health(service.url) == (200, "ok\n")
        damage(path)
        text = await until_health(service.url, 503)
        assert text == "requests cannot be stored; the service's log has the reason\n"
        with pytest.raises(RequestFailed) as refused:
            await (await client.submit("later", 2)).acknowledged()
        assert refused.value.code == "OVERLOADED"
    assert service.stop() == 0
    told = [entry for entry in service.log if entry["event"] == "does not work"]
    assert len(told) == 1, json.dumps(service.log)
    assert told[0]["part"] == "store"
    assert "stop the service" in told[0]["error"]


async def test_a_file_that_comes_back_is_used_again(start_service: Callable[..., Any], tmp_path: Path) -> None:
    service = start_service(CONFIG)
    (path,) = tmp_path.rglob("requests.db")
    async with StreamerClient(service.url) as client:
        path.rename(path.with_suffix(".away"))
        await until_health(service.url, 503)
        path.with_suffix(".away").rename(path)
        await until_health(service.url, 200)
        assert await (await client.submit("later", 1)).acknowledged()
    assert service.stop() == 0
