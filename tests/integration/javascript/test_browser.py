"""The example page in a real browser, its network cut and restored in the middle of a report."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
REPORT = """
version: 1
server: {{port: 0, allowed_origins: ["{origin}"]}}
backends: {{store: {{use: sqlite, path: ./requests.db}}}}
worker: {{progress_interval: 20ms}}
logs: {{format: json}}
actions:
  generate_report:
    handler: demo.generate_report
    with: {{data_dir: ./data, output_dir: ./reports, records: 20000}}
    mode: async
    schema: {schema}
"""
WITH_TOKENS = """
version: 1
server: {port: 0}
backends: {store: memory}
logs: {format: json}
auth: {use: jwt, secret: "${JWT_SECRET}", algorithms: [HS256]}
actions:
  echo: {handler: echo}
"""
# Notes every value that the bar ever has, for as long as the page lives.
WATCH = """
window.bar = [];
addEventListener("DOMContentLoaded", () => {
  const element = document.getElementById("bar");
  const look = () => window.bar.push(element.hasAttribute("value") ? element.value : null);
  look();
  new MutationObserver(look).observe(element, { attributes: true });
});
"""
START = "document.querySelector('[type=submit]').click()"
MOVING = "document.getElementById('bar').value >= 10"
DONE = "!document.getElementById('result').hidden"
NOTICED = "document.getElementById('connection').dataset.state === 'waiting'"
CONNECTED = "document.getElementById('connection').dataset.state === 'open'"
LINKS = "[...document.querySelectorAll('#files a')].map(a => a.href)"


def token(secret: str) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "ada", "exp": int(time.time()) + 3600})
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    signature = hmac.digest(secret.encode(), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.fixture
async def page(
    tab: Any, pages: Any, network: Any, start_service: Callable[..., Any], tmp_path: Path
) -> tuple[Any, Any, str]:
    """The example page in a tab, what its network is, and its address."""
    service = start_service(REPORT.format(origin=pages.origin, schema=ROOT / "schemas/generate_report.json"))
    await network.start(service.url)
    (tmp_path / "reports").mkdir()
    pages.show(tmp_path)
    address = f"{pages.origin}/report.html?service={network.url}&files=/reports/"
    await tab.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    await tab.open(address)
    await tab.until(CONNECTED)
    return tab, network, address


def is_unbroken(bar: list[float | None]) -> bool:
    return None not in bar and bar == sorted(bar, key=lambda value: value or 0) and bar[-1] == 100


async def test_a_report_outlives_the_tabs_network(page: tuple[Any, Any, str], tmp_path: Path) -> None:
    tab, network, _ = page
    await tab.evaluate(START)
    await tab.until(MOVING)
    # A browser that is told to be offline holds back what comes over an open WebSocket, but leaves it open: so the
    # sockets are cut before, which the page must notice.
    network.cut()
    await tab.until(NOTICED)
    await tab.offline(True)
    network.restore()
    await tab.until("!navigator.onLine")
    await tab.offline(False)
    await tab.until(DONE)
    bar = await tab.evaluate("window.bar")
    assert is_unbroken(bar), bar
    assert len(bar) > 5
    links = await tab.evaluate(LINKS)
    assert [link.rpartition(".")[2] for link in links] == ["csv", "xlsx", "pdf"]
    for link in links:
        assert await tab.evaluate(f"fetch({link!r}).then(answer => answer.status)") == 200
    log = await tab.evaluate("document.getElementById('log').innerText")
    assert re.search("no connection.*connected.*the report is complete", log, re.DOTALL), log
    assert tab.problems == []
    await tab.picture(tmp_path / "report.png")


async def test_a_report_that_is_made_while_the_tab_is_offline_arrives_when_it_is_back(
    page: tuple[Any, Any, str], tmp_path: Path
) -> None:
    tab, _, _ = page
    await tab.evaluate(START)
    await tab.until(MOVING)
    await tab.offline(True)
    async with asyncio.timeout(60):
        while not list(tmp_path.glob("reports/*/*.pdf")):
            await asyncio.sleep(0.02)
    assert not await tab.evaluate(DONE)
    await tab.offline(False)
    await tab.until(DONE)
    bar = await tab.evaluate("window.bar")
    assert is_unbroken(bar), bar
    assert tab.problems == []


async def test_a_reloaded_page_finds_its_report(page: tuple[Any, Any, str]) -> None:
    tab, _, address = page
    await tab.evaluate(START)
    await tab.until(MOVING)
    await tab.open(address)
    await tab.until(DONE)
    bar = await tab.evaluate("window.bar")
    assert is_unbroken(bar), bar
    assert tab.problems == []


async def test_a_page_sends_its_token_by_the_subprotocol(
    tab: Any, pages: Any, start_service: Callable[..., Any]
) -> None:
    secret = secrets.token_hex(32)
    service = start_service(WITH_TOKENS, JWT_SECRET=secret)
    await tab.open(f"{pages.origin}/nothing")
    ask = (
        f"import('{service.http_url}/streamer.js').then(({{ StreamerClient }}) =>"
        f"new StreamerClient('{service.url}', {{ token: '{token(secret)}' }}).request('echo', 7))"
    )
    assert (await tab.evaluate(ask))["echo"] == 7


async def test_a_page_of_another_origin_gets_neither_the_client_nor_a_connection(
    page: tuple[Any, Any, str], pages: Any
) -> None:
    tab, network, _ = page
    await tab.open(f"{pages.origin.replace('127.0.0.1', 'localhost')}/report.html?files=/reports/")
    client = network.url.replace("ws:", "http:").replace("/ws", "/streamer.js")
    assert await tab.evaluate(f"import({client!r}).then(() => 'imported', () => 'refused')") == "refused"
    connect = (
        f"new Promise(end => {{ const s = new WebSocket({network.url!r}); s.onopen = s.onclose = e => end(e.type) }})"
    )
    assert await tab.evaluate(connect) == "close"
