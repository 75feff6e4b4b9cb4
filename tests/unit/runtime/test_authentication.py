"""What assembly makes of the component that the file's `auth` names."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from streamer.config.settings import ActionSettings, BackendSettings, ComponentUse, PluginSettings, Settings
from streamer.contracts.auth import Authenticator
from streamer.contracts.components import Component, Kind
from streamer.core.principal import Principal
from streamer.core.units import Rate
from streamer.middlewares.rate_limit import RateLimit
from streamer.plugins.manager import discover
from streamer.runtime import builtins
from streamer.runtime.assembly import open_service
from streamer.testing import ManualClock
from streamer.testing.clock import settle

ALICE = Principal(user_id="alice")


class Tokens(Authenticator):
    immediate = True

    async def authenticate(self, token: str, /) -> Principal:
        return Principal(user_id=token, permissions=frozenset({"new"}))


class Peer:
    id = "c1"
    owner = ALICE.owner
    principal = ALICE
    post = None

    def __init__(self) -> None:
        self.running = 0
        self.sent: list[Any] = []

    def send(self, data: bytes, /) -> None:
        self.sent.append(json.loads(data))

    def refused(self, _count: int = 1, /) -> None: ...


@contextlib.asynccontextmanager
async def service_of(tmp_path, *middleware: Any, auth: Any = None):
    components = dict(discover(PluginSettings(allow=()), builtins=[builtins]).components)
    components[Kind.AUTH, "test"] = Component(kind=Kind.AUTH, name="test", factory=lambda _options, _context: auth)
    uses = []
    for index, made in enumerate(middleware):
        name = f"m{index}"
        components[Kind.MIDDLEWARE, name] = Component(
            kind=Kind.MIDDLEWARE, name=name, factory=lambda *_, made=made: made
        )
        uses.append(ComponentUse(name=name))
    settings = Settings(
        path=tmp_path / "streamer.yaml",
        backends=BackendSettings(store=ComponentUse(name="memory")),
        auth=ComponentUse(name="test"),
        middleware=tuple(uses),
        actions={"echo": ActionSettings(name="echo", handler="echo", permissions=("new",))},
    )
    async with open_service(settings, components, logger=None, clock=ManualClock()) as service:
        yield service


async def ask(service, peer, **message):
    service.router.receive(peer, json.dumps(message).encode())
    await settle()
    return peer.sent[-1]


async def test_without_an_authenticator_nobody_is_asked_and_nothing_is_renewed(tmp_path):
    async with service_of(tmp_path) as service:
        assert service.authenticator is None
        assert service.deadlines is None
        assert "streamer.authenticate" not in service.router.service_routes


async def test_an_authenticator_brings_the_action_that_renews(tmp_path):
    authenticator = Tokens()
    async with service_of(tmp_path, auth=authenticator) as service:
        assert service.authenticator is authenticator
        peer = Peer()
        service.deadlines.add(peer)
        answer = await ask(service, peer, action="streamer.authenticate", payload={"token": "alice"})
        assert answer["data"] == {"user_id": "alice", "tenant_id": "", "expires_at": None}
        assert peer.principal == Principal(user_id="alice", permissions=frozenset({"new"}))


async def test_renewals_stand_behind_the_rate_limits_of_the_services_own_actions(tmp_path):
    limit = RateLimit(Rate(1, 60.0), clock=ManualClock(), per="connection")
    async with service_of(tmp_path, limit, auth=Tokens()) as service:
        peer = Peer()
        for expected in ("response", "error"):
            answer = await ask(service, peer, action="streamer.authenticate", payload={"token": "alice"})
            assert answer["type"] == expected
        assert answer["error"]["code"] == "RATE_LIMITED"


async def test_permissions_of_the_file_are_asked_for(tmp_path):
    async with service_of(tmp_path, auth=Tokens()) as service:
        peer = Peer()
        assert (await ask(service, peer, action="echo"))["error"]["details"] == {"missing_permissions": ["new"]}
        peer.principal = Principal(user_id="alice", permissions=frozenset({"new"}))
        assert (await ask(service, peer, action="echo", payload=1))["data"]["echo"] == 1


async def test_the_authenticator_of_the_docs_works(tmp_path):
    page = (Path(__file__).parents[3] / "docs/how-to/authenticate.md").read_text()
    example: dict[str, Any] = {}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], example)
    (component,) = example["streamer_auth"]()
    authenticator = component.factory({"keys": {"alice": "k"}}, None)
    async with service_of(tmp_path, auth=authenticator) as service:
        peer = Peer()
        answer = await ask(service, peer, action="streamer.authenticate", payload={"token": "k"})
        assert answer["data"]["user_id"] == "alice"
        answer = await ask(service, peer, action="streamer.authenticate", payload={"token": "other"})
        assert answer["error"]["code"] == "UNAUTHORIZED"
