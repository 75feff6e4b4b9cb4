"""What is known of connections."""

from __future__ import annotations

import pytest

from streamer.contracts.connections import ConnectionInfo
from streamer.core.errors import ConnectionGone
from streamer.core.principal import Principal
from streamer_aws.connections.rows import LIFETIME, SLACK

ADA = Principal(user_id="ada", tenant_id="acme", permissions=frozenset({"read"}), expires_at=2e9, claims={"n": 1})


@pytest.mark.parametrize("known", [ConnectionInfo("client:me", None), ConnectionInfo(ADA.owner, ADA)])
async def test_what_was_written_down_is_known_until_the_end(rows, known):
    assert await rows.get("c1=") is None
    await rows.add("c1=", known)
    assert await rows.get("c1=") == known
    for _ in range(2):
        await rows.remove("c1=")
    assert await rows.get("c1=") is None


async def test_no_connection_is_known_for_longer_than_one_can_live(rows, clock):
    await rows.add("c1", ConnectionInfo("client:me", None))
    clock.jump(LIFETIME)
    assert await rows.get("c1") is not None
    clock.jump(SLACK)
    assert await rows.get("c1") is None


async def test_a_connection_that_proved_itself_anew_is_known_so_and_none_comes_of_it(rows):
    await rows.add("c1", ConnectionInfo(ADA.owner, ADA))
    later = Principal(user_id="ada", tenant_id="acme", expires_at=3e9)
    await rows.renew("c1", later)
    assert await rows.get("c1") == ConnectionInfo(ADA.owner, later)
    with pytest.raises(ConnectionGone):
        await rows.renew("ghost", later)
    assert await rows.get("ghost") is None
