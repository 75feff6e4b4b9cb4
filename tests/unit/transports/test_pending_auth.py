"""Handshakes that wait for their principal, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import ssl
import types
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from streamer.config.settings import TlsSettings
from streamer.contracts.auth import Authenticator
from streamer.core.errors import UNAUTHORIZED, Error
from streamer.core.principal import Principal

TOKEN = "the-token-that-nobody-may-keep"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Slow(Authenticator):
    """An `Authenticator` that decides when the test lets it."""

    def __init__(self, *, immediate: bool = True):
        self.immediate = immediate
        self.decisions: list[asyncio.Future] = []

    async def authenticate(self, token):
        assert token == TOKEN
        del token
        self.decisions.append(asyncio.get_running_loop().create_future())
        return await self.decisions[-1]


@pytest.fixture(params=[True, False], ids=["immediate", "in a task"])
def slow(request):
    return Slow(immediate=request.param)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    paths = TlsSettings(cert=folder / "cert.pem", key=folder / "key.pem")
    paths.cert.write_bytes(made.public_bytes(Encoding.PEM))
    paths.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


async def begin(server, slow, eventually, **options):
    """A client whose handshake waits."""
    before = len(slow.decisions)
    client = asyncio.create_task(
        connect(f"ws://{server.address}/ws", additional_headers=BEARER, proxy=None, **options).__aenter__()
    )
    await eventually(lambda: len(slow.decisions) > before)
    return client


async def test_a_handshake_is_answered_when_its_principal_is_known(serve, slow, eventually):
    server = await serve(authenticator=slow)
    client = await begin(server, slow, eventually, subprotocols=["bearer"])
    assert not client.done()
    assert server.peers == []
    slow.decisions[0].set_result(Principal(user_id="alice", tenant_id="acme"))
    connection = await client
    assert connection.subprotocol == "bearer"
    (peer,) = server.peers
    assert (peer.owner, peer.principal.user_id) == ("principal:acme/alice", "alice")
    server.receiver.answer = lambda peer, frame: peer.send(frame)
    await connection.send("hello")
    assert await connection.recv() == "hello"
    await connection.close()
    await eventually(lambda: server.registry.removed == [peer])


async def test_a_refusal_is_plain_http(serve, slow, eventually):
    server = await serve(authenticator=slow)
    client = await begin(server, slow, eventually)
    slow.decisions[0].set_exception(Error(UNAUTHORIZED, "The token has expired"))
    with pytest.raises(InvalidStatus) as caught:
        await client
    response = caught.value.response
    assert (response.status_code, bytes(response.body)) == (401, b"The token has expired\n")
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert response.headers["Connection"] == "close"
    assert server.peers == server.registry.removed == []


async def test_who_is_kept_waiting_too_long_is_told_to_come_again(serve, slow, eventually):
    server = await serve(authenticator=slow, handshake_timeout=0.05)
    client = await begin(server, slow, eventually)
    with pytest.raises((InvalidStatus, InvalidMessage)) as caught:
        await client
    assert caught.value.response.status_code == 503
    assert slow.decisions[0].cancelled()


async def test_those_that_wait_count_as_connections(serve, slow, eventually):
    server = await serve(authenticator=slow, max_connections=1)
    client = await begin(server, slow, eventually)
    with pytest.raises(InvalidStatus) as caught:
        await server.connect(additional_headers=BEARER)
    assert caught.value.response.status_code == 429
    slow.decisions[0].set_result(Principal(user_id="alice"))
    await (await client).close()


async def test_those_that_wait_for_one_principal_are_no_more_than_it_may_have(serve, slow, eventually):
    server = await serve(authenticator=slow, max_connections_per_principal=1)
    first, second = [await begin(server, slow, eventually) for _ in range(2)]
    slow.decisions[0].set_result(Principal(user_id="alice"))
    connection = await first
    slow.decisions[1].set_result(Principal(user_id="alice"))
    with pytest.raises(InvalidStatus) as caught:
        await second
    assert caught.value.response.status_code == 429
    await connection.close()


async def test_over_tls_it_is_the_same(serve, slow, eventually, certificate):
    server = await serve(authenticator=slow, tls=certificate)
    context = ssl.create_default_context(cafile=certificate.cert)
    before = len(slow.decisions)
    client = asyncio.create_task(
        connect(f"wss://{server.address}/ws", additional_headers=BEARER, proxy=None, ssl=context).__aenter__()
    )
    await eventually(lambda: len(slow.decisions) > before)
    slow.decisions[0].set_result(Principal(user_id="alice"))
    connection = await client
    server.receiver.answer = lambda peer, frame: peer.send(frame)
    await connection.send("hello")
    assert await connection.recv() == "hello"
    await connection.close()


async def test_a_client_that_speaks_before_it_may_is_cut(serve, slow, upgrade, frame):
    server = await serve(authenticator=slow)
    assert (await server.http(upgrade(**BEARER) + frame(b"early")))[0] == 0
    assert server.receiver.frames == []
    assert server.peers == []


async def test_a_client_that_gives_up_costs_nothing_more(serve, slow, eventually):
    server = await serve(authenticator=slow)
    client = await begin(server, slow, eventually)
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    # Nothing is read while it waits; that it has gone shows when the answer is written.
    slow.decisions[0].set_result(Principal(user_id="alice"))
    await eventually(lambda: not server.transport._held)
    await eventually(lambda: len(server.registry.removed) == len(server.peers))


async def test_the_end_of_the_transport_is_the_end_of_those_that_wait(serve, slow, eventually):
    server = await serve(authenticator=slow)
    client = await begin(server, slow, eventually)
    await server.transport.close()
    with pytest.raises((InvalidMessage, ConnectionClosed, ConnectionError, EOFError)):
        await client
    assert not server.transport._held
    await eventually(slow.decisions[0].cancelled)


@pytest.mark.parametrize("place", ["header", "subprotocol", "query"])
@pytest.mark.parametrize("waits", [True, False])
async def test_no_token_stays_in_memory(serve, eventually, place, waits):
    class Quick(Authenticator):
        immediate = not waits

        async def authenticate(self, token):
            assert token == TOKEN
            if waits:
                await asyncio.sleep(0)
            return Principal(user_id="alice")

    server = await serve(authenticator=Quick())
    options = {
        "header": {"additional_headers": BEARER},
        "subprotocol": {"subprotocols": ["bearer", TOKEN]},
        "query": {"target": f"/ws?token={TOKEN}"},
    }[place]
    client = await server.connect(**options)
    (peer,) = server.peers
    reachable, found = [peer], []
    seen = set()
    while reachable:
        thing = reachable.pop()
        if id(thing) in seen or isinstance(thing, type | types.FunctionType | types.ModuleType) or thing is server:
            continue
        seen.add(id(thing))
        if isinstance(thing, str | bytes):
            found += [thing] if TOKEN in (thing if isinstance(thing, str) else thing.decode("latin-1")) else []
        elif type(thing).__module__.partition(".")[0] in ("streamer", "picows", "multidict", "builtins"):
            reachable += gc.get_referents(thing)
    assert found == []
    request = peer._transport.request
    assert not request.headers
    assert request.path == b""
    await client.close()
