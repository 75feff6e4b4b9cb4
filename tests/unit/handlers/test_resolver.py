"""Names in declared URLs lead only to where they may."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer

from streamer.contracts.components import BuildContext
from streamer.core.errors import Error
from streamer.handlers import http, resolver
from streamer.handlers.http import build
from streamer.handlers.resolver import OwnThreads, PrivateAddress, PublicResolver


class Zone(AbstractResolver):
    """What a name leads to, one answer after another. Unlike the system's it asks nobody and knows no errors."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.closed = False

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
            for address in addresses
        ]

    async def close(self):
        self.closed = True


async def test_of_many_addresses_only_the_public_ones_are_used():
    resolver = PublicResolver(Zone(["10.0.0.1", "1.1.1.1", "::1", "169.254.169.254", "2606:4700::1111"]))
    assert [one["host"] for one in await resolver.resolve("api.example.com", 80)] == ["1.1.1.1", "2606:4700::1111"]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "::ffff:10.0.0.1", "0.0.0.0"]
)
async def test_a_name_that_leads_inside_is_refused_with_the_way_out(address):
    with pytest.raises(PrivateAddress, match=r"'metadata\.example\.com' resolves to .*allow_private: true"):
        await PublicResolver(Zone([address])).resolve("metadata.example.com")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost.", "api.localhost"])
async def test_localhost_says_itself_what_it_is(name):
    assert await PublicResolver(Zone(["127.0.0.1"])).resolve(name)


@pytest.mark.parametrize("name", ["localhost.example.com", "mylocalhost", "localhost.localdomain"])
async def test_what_only_sounds_like_localhost_is_a_name_like_others(name):
    with pytest.raises(PrivateAddress):
        await PublicResolver(Zone(["127.0.0.1"])).resolve(name)


async def test_it_asks_the_system_and_is_closed_with_its_session():
    assert (await PublicResolver().resolve("localhost"))[0]["host"] in ("127.0.0.1", "::1")
    zone = Zone(["1.1.1.1"])
    await PublicResolver(zone).close()
    assert zone.closed


@pytest.fixture
async def inside():
    """A real server on loopback that must not be reached; its port."""
    reached: list[web.Request] = []

    async def answer(request):
        reached.append(request)
        return web.json_response("inside")

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", answer)
    async with TestServer(application) as server:
        server.reached = reached
        yield server


@pytest.fixture
def handler_for(monkeypatch, tmp_path, log, inside):
    """An http handler for a name of which a zone says where it leads."""

    def make(zone, name="api.example.com", **options):
        monkeypatch.setattr(resolver, "OwnThreads", lambda: zone)
        monkeypatch.setattr(http, "OwnThreads", lambda: zone)
        return build({"url": f"http://{name}:{inside.port}/", **options}, BuildContext(base_dir=tmp_path, logger=log))

    return make


async def test_a_request_does_not_reach_what_a_name_leads_to_inside(handler_for, inside, request_of):
    async with handler_for(Zone(["127.0.0.1"])) as handler:
        with pytest.raises(Error, match="could not be reached") as refused:
            await handler.process(request_of({}))
    assert (refused.value.code, refused.value.retryable) == ("INTERNAL_ERROR", False)
    assert "allow_private: true" in "".join(refused.value.__notes__)
    assert "127.0.0.1" not in refused.value.message
    assert inside.reached == []


async def test_a_name_that_changes_its_mind_is_judged_at_each_look():
    # What is returned is what is connected to: there is no look in between.
    resolver = PublicResolver(Zone(["1.1.1.1"], ["127.0.0.1"]))
    assert await resolver.resolve("api.example.com")
    with pytest.raises(PrivateAddress):
        await resolver.resolve("api.example.com")


async def test_where_it_is_meant_it_is_reached(handler_for, inside, request_of):
    async with handler_for(Zone(["127.0.0.1"]), allow_private=True) as handler:
        assert (await handler.process(request_of({}))).data == "inside"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_what_the_url_itself_says_is_the_authors_word(handler_for, inside, request_of, name):
    async with handler_for(Zone(["127.0.0.1"]), name) as handler:
        assert (await handler.process(request_of({}))).data == "inside"


@pytest.mark.parametrize("payload", [{"url": "http://10.0.0.1/"}, {"host": "evil", "Host": "evil", "path": "/../x"}])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_no_payload_steers_a_request_elsewhere(handler_for, inside, request_of, payload, method):
    async with handler_for(Zone(["127.0.0.1"]), "127.0.0.1", method=method) as handler:
        await handler.process(request_of(payload, id="a\u2028b", metadata={"Host": "evil"}))
    [request] = inside.reached
    assert (request.path, request.host) == ("/", f"127.0.0.1:{inside.port}")
    assert "evil" not in "".join(value for name, value in request.headers.items())


async def test_handlers_that_take_every_default_thread_do_not_hold_names_up():
    go = threading.Event()
    blocked = [asyncio.ensure_future(asyncio.to_thread(go.wait)) for _ in range(64)]
    resolver = OwnThreads()
    try:
        found = await resolver.resolve("localhost", 80)
        assert {one["host"] for one in found} == {"127.0.0.1"}
        assert found[0]["port"] == 80
        with pytest.raises(OSError, match="."):
            await resolver.resolve("no-such-name.invalid", 80)
    finally:
        go.set()
        await asyncio.gather(*blocked)
        await resolver.close()
