from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples"
GUARD = 60.0
"""Seconds after which something that is waited for does not come any more."""
CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--remote-debugging-port=0",
]


@pytest.fixture(scope="session")
def tsc(program: Callable[[str], str]) -> str:
    return program("tsc")


class Network:
    """A TCP relay between the browser and the service, which can be cut and restored."""

    def __init__(self) -> None:
        self.url = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._whole = True

    async def start(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._target.path}"

    def cut(self) -> None:
        """Breaks every connection, and each that is tried from now on."""
        self._whole = False
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        self._whole = True

    async def stop(self) -> None:
        if self._server is not None:
            self.cut()
            self._server.close()
            await self._server.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    made = Network()
    yield made
    await made.stop()


class Pages:
    """A small server of files, as a user may have one: the example page, and the folder of reports."""

    def __init__(self, origin: str, roots: list[Path]) -> None:
        self.origin = origin
        self._roots = roots

    def show(self, folder: Path) -> None:
        self._roots.append(folder)


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    roots = [EXAMPLES]

    async def answer(request: web.Request) -> web.StreamResponse:
        for root in roots:
            path = root / request.match_info["path"]
            if path.is_file():
                return web.FileResponse(path)
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    yield Pages(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", roots)
    await runner.cleanup()


class Tab:
    """One tab, driven over the DevTools protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self.problems: list[str] = []
        """What the page threw and did not catch."""
        self._socket = socket
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        # A browser that closes a tab cuts its socket.
        with contextlib.suppress(ConnectionClosed):
            async for text in self._socket:
                message = json.loads(text)
                if message.get("method") == "Runtime.exceptionThrown":
                    details = message["params"]["exceptionDetails"]
                    self.problems.append(details.get("exception", {}).get("description", details["text"]))
                if "id" in message:
                    self._answers.pop(message["id"]).set_result(message)

    async def call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(GUARD):
            message = await answer
        assert "error" not in message, message
        return message["result"]

    async def open(self, address: str) -> None:
        answer = await self.call("Page.navigate", url=address)
        assert "errorText" not in answer, answer

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Returns once the condition holds on the page, whatever page that is by then."""
        async with asyncio.timeout(GUARD):
            while True:
                answer = await self.call("Runtime.evaluate", expression=condition, returnByValue=True)
                if answer["result"].get("value") is True:
                    return
                await asyncio.sleep(0.02)

    async def offline(self, is_offline: bool) -> None:
        await self.call(
            "Network.emulateNetworkConditions",
            offline=is_offline,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    async def picture(self, path: Path) -> None:
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    async def close(self) -> None:
        await self._socket.close()
        await self._reader


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[str]:
    """A browser without a window; the address of its DevTools."""
    profile = tmp_path_factory.mktemp("chromium")
    command = [program("chromium"), *CHROMIUM, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as browser:
        assert browser.stderr is not None
        said = []
        for line in browser.stderr:
            said.append(line)
            if "DevTools listening on" in line:
                break
        else:
            pytest.fail(f"the browser did not start:\n{''.join(said)}")
        reader = threading.Thread(target=browser.stderr.read, daemon=True)
        reader.start()
        yield urlsplit(said[-1].split()[-1]).netloc
        # It has processes of its own, in the same session.
        os.killpg(browser.pid, signal.SIGTERM)
        browser.wait(GUARD)
        reader.join(GUARD)


@pytest.fixture
async def tab(chromium: str) -> AsyncIterator[Tab]:
    async with aiohttp.ClientSession() as http, http.put(f"http://{chromium}/json/new?about:blank") as answer:
        address = (await answer.json())["webSocketDebuggerUrl"]
    made = Tab(await connect(address, max_size=None, proxy=None, compression=None))
    for domain in ("Page", "Runtime", "Network"):
        await made.call(f"{domain}.enable")
    await made.call("Emulation.setDeviceMetricsOverride", width=820, height=940, deviceScaleFactor=1, mobile=False)
    yield made
    await made.call("Page.close")
    await made.close()
