"""One service in several homes, and the clients that speak with it. Everything lives in the loop of the module."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from dialogue.barriers import Gates
from dialogue.bridge import Bridge
from dialogue.client import Client
from dialogue.deployments import GUARDED, SERVICE, Home, Starter
from dialogue.own import JavaScriptClient, PythonClient
from dialogue.plain import WebsocketsClient, WsClient
from dialogue.relay import Relay

CLIENTS = {
    "websockets": WebsocketsClient,
    "ws": WsClient,
    "python": PythonClient,
    "javascript": JavaScriptClient,
}


HOMES = {
    "sqlite": list(CLIENTS),
    "memory": list(CLIENTS),
    "two-gateways": list(CLIENTS),
    "aws": list(CLIENTS),
    # To a client it is the same as the one before; what differs is behind the functions.
    "aws-processes": ["websockets"],
}
"""Who speaks with each. STREAMER_TEST_HOMES may name some of them."""


ACCOUNT = {SERVICE: "STREAMER_TEST_AWS_URL", SERVICE + GUARDED: "STREAMER_TEST_AWS_GUARDED_URL"}
"""Where the same files were deployed in a real account, if anybody says so."""
if any(os.environ.get(name) for name in ACCOUNT.values()):
    HOMES["aws-account"] = list(CLIENTS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every conversation is held in every home, and by every client that can say what it needs."""
    if "home" in metafunc.fixturenames:
        chosen = os.environ.get("STREAMER_TEST_HOMES", " ".join(HOMES)).split()
        metafunc.parametrize("home", chosen, indirect=True, scope="module")
    if "make" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("clients")
        metafunc.parametrize("make", marker.args if marker else list(CLIENTS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not isinstance(item, pytest.Function) or _is_held(item)]


def _is_held(item: pytest.Function) -> bool:
    held = getattr(item, "callspec", None)
    if held is None or not {"home", "make"} <= held.params.keys():
        return True
    return held.params["make"] in HOMES[held.params["home"]]


@pytest.fixture(scope="module")
def service_text() -> str:
    """The service's file. A module that wants another one has a fixture of this name."""
    return SERVICE


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    service_class: Callable[..., Any],
    service_text: str,
) -> AsyncIterator[Home]:
    """The service."""
    if request.param == "aws-account":
        url = os.environ.get(ACCOUNT[service_text])
        if not url:
            pytest.skip(f"{ACCOUNT[service_text]} is not set")
        yield Home(request.param, (url,))
        return
    starter = Starter(
        tmp_path_factory.mktemp(request.param), service_class, lambda: request.getfixturevalue("ministack")
    )
    async with starter.open(request.param, service_text) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge() -> AsyncIterator[Bridge]:
    """To the clients in Node, which starts when there is one."""
    made = Bridge()
    yield made
    await made.stop()


Opener = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="module")
async def open_client(home: Home, make: str, bridge: Bridge, request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """`await open_client(client_id=…, token=…)` is a new client of the make, connected."""
    relays: list[Relay] = []
    async with AsyncExitStack() as stack:

        async def open(client_id: str | None = None, token: str | None = None, **options: Any) -> Client:
            relay = Relay(*home.urls[len(relays) % len(home.urls) :], *home.urls[: len(relays) % len(home.urls)])
            relays.append(relay)
            await relay.start()
            stack.push_async_callback(relay.stop)
            if make in ("ws", "javascript"):
                request.getfixturevalue("node_package")("ws")
                await bridge.start(request.getfixturevalue("node"))
                options["bridge"] = bridge
            client: Client = CLIENTS[make](relay, client_id, token, **options)
            stack.push_async_callback(client.close)
            await client.open()
            return client

        yield open


@pytest.fixture
def gates(tmp_path: Path, home: Home) -> Gates:
    if home.name == "aws-account":
        pytest.skip("gates are files of this machine")
    return Gates(tmp_path)


@pytest.fixture
def owner() -> str:
    """A client_id that nobody else has."""
    return secrets.token_hex(8)
