"""The same over TLS, where the library writes by another path."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streamer.config.settings import TlsSettings


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> TlsSettings:
    openssl = shutil.which("openssl")
    assert openssl, "the openssl program is needed to make a certificate"
    folder = tmp_path_factory.mktemp("tls")
    made = TlsSettings(cert=folder / "cert.pem", key=folder / "key.pem")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made.key, "-out", made.cert]
    subprocess.run([openssl, *command.split(), *more], check=True, capture_output=True)
    return made


@pytest.fixture
def secure(serve, certificate):
    async def secure(**settings):
        served = await serve(tls=certificate, **settings)
        context = ssl.create_default_context(cafile=certificate.cert)
        return served, connect(served.url.replace("ws:", "wss:"), ssl=context, proxy=None)

    return secure


async def test_many_messages_come_back_in_order(secure):
    served, connection = await secure()
    async with connection as client:
        texts = [f"{number}" * 100 for number in range(200)]
        await asyncio.gather(*map(client.send, texts))
        assert [await client.recv() for _ in texts] == texts
        await client.ping()
    await served.ended()


@pytest.mark.parametrize("size", [2_000, 5_000_000])
async def test_a_client_that_is_still_sending_learns_that_it_is_too_much(secure, size):
    served, connection = await secure(max_message_size=1000)
    client = await connection
    sending = asyncio.create_task(client.send("x" * size))
    with pytest.raises(ConnectionClosed) as ended:
        await client.recv()
    await asyncio.gather(sending, return_exceptions=True)
    await client.wait_closed()
    assert ended.value.rcvd.code == 1009
    await served.ended()


async def test_versions_of_tls_that_are_out_of_date_are_refused(serve, certificate):
    served = await serve(tls=certificate)
    context = ssl.create_default_context(cafile=certificate.cert)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*served.address, ssl=context)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=certificate.cert)
        context.minimum_version = context.maximum_version = version
        async with connect(served.url.replace("ws:", "wss:"), ssl=context, proxy=None) as client:
            await client.send("hello")
            assert await client.recv() == "hello"


async def test_the_end_of_the_service_is_told(secure):
    served, connection = await secure()
    async with connection as client:
        await client.send("hello")
        await client.recv()
        closing = asyncio.create_task(served.transport.close())
        with pytest.raises(ConnectionClosed) as ended:
            await client.recv()
        assert ended.value.rcvd.code == 3001
        await closing
    assert served.events[-2:] == [(event, served.receiver.peers[0].id) for event in ("remove", "disconnected")]
