"""Connections that are observed: opened, closed with which code, and those that never were one."""

import asyncio
import dataclasses
import json
from types import SimpleNamespace

import aiohttp
import pytest
import websockets

from streamer.admin.connections import close_label
from streamer.config.settings import ComponentUse
from streamer.contracts.auth import Authenticator
from streamer.contracts.components import Component, Kind
from streamer.core.errors import UNAUTHORIZED, Error
from streamer.core.principal import Principal
from streamer.transports import close_codes

V1 = "/admin/v1"


def closed(code):
    return f'streamer_connections_closed_total{{code="{code}"}}'


def frame(code):
    return None if code is None else SimpleNamespace(code=code)


@pytest.mark.parametrize(
    ("received", "sent", "received_first", "label"),
    [
        (1000, 1000, True, "1000"),
        (1000, 3001, False, "3001"),
        (None, 3008, False, "3008"),
        (4321, 4321, True, "_other"),
        (1001, None, True, "1001"),
        (None, None, False, "1006"),
    ],
)
def test_the_code_of_the_side_that_closed_first_counts(received, sent, received_first, label):
    handshake = SimpleNamespace(recv=frame(received), sent=frame(sent), recv_then_sent=received_first)
    assert close_label(handshake) == label


def test_every_close_code_of_the_service_has_a_label_of_its_own():
    codes = [value for name, value in vars(close_codes).items() if type(value) is int and name != "MAX_REASON"]
    assert len(codes) > 10
    assert [close_label(SimpleNamespace(recv=None, sent=frame(code), recv_then_sent=False)) for code in codes] == [
        str(code) for code in codes
    ]


def test_no_close_frame_is_1006():
    assert close_label(None) == "1006"


async def test_a_code_that_a_client_made_up_adds_no_series(admin):
    for code in (4000, 4001, 4002):
        async with websockets.connect(admin.service) as client:
            await client.close(code)
    samples = await admin.samples_until(lambda samples: samples.get(closed("_other")) == 3)
    assert samples["streamer_connections_opened_total"] == 3
    assert len([name for name in samples if name.startswith("streamer_connections_closed_total")]) == 1


async def test_a_connection_that_is_cut_is_counted(admin):
    client = await websockets.connect(admin.service)
    await client.send('{"action":"echo","payload":1}')
    await client.recv()
    client.transport.abort()
    samples = await admin.samples_until(lambda samples: samples.get(closed(1006)) == 1)
    assert samples["streamer_connections"] == 0


class SlowAuthenticator(Authenticator):
    """Takes a turn of the loop for each token, so that connections wait for their answer."""

    async def authenticate(self, token, /):
        await asyncio.sleep(0)
        if token != "right":
            raise Error(UNAUTHORIZED, "no")
        return Principal(user_id="ada", tenant_id="acme")


async def test_connections_that_wait_for_their_principal_are_counted_once_they_are_open(settings, components, start):
    settings = dataclasses.replace(settings, auth=ComponentUse(name="slow"))
    made = Component(kind=Kind.AUTH, name="slow", factory=lambda _options, _context: SlowAuthenticator())
    async with start(settings, components={**components, (Kind.AUTH, "slow"): made}) as admin:
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await session.ws_connect(admin.service, headers={"Authorization": "Bearer wrong"})
        headers = {"Authorization": "Bearer right"}
        async with websockets.connect(admin.service, additional_headers=headers) as client:
            await client.send('{"action":"echo","payload":1}')
            assert json.loads(await client.recv())["success"] is True
            (one,) = (await admin.json(f"{V1}/connections"))["connections"]
            assert (one["user_id"], one["tenant_id"]) == ("ada", "acme")
        samples = await admin.samples_until(lambda samples: samples.get(closed(1000)) == 1)
        assert samples["streamer_connections_opened_total"] == 1
        assert samples["streamer_sent_messages_total"] == 1
        assert [name for name in samples if name.startswith("streamer_connections_closed")] == [closed(1000)]
