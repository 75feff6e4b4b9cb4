"""The whole of it: a token in, a principal or a reason out."""

import pytest

from streamer.auth.authenticator import JwtAuthenticator
from streamer.auth.claims import Rules
from streamer.auth.keys import from_jwks
from streamer.auth.options import ALGORITHMS
from streamer.auth.sources import KeySet
from streamer.core.errors import UNAUTHORIZED, Error


class Rotating:
    """A `KeySource` that holds one set of keys, and another one after its first refresh."""

    def __init__(self, first, second):
        self.keys = KeySet(from_jwks(first), ALGORITHMS)
        self.next = KeySet(from_jwks(second), ALGORITHMS)
        self.looked = 0

    def find(self, header):
        return self.keys.find(header)

    async def look_again(self):
        self.looked += 1
        self.keys = self.next


@pytest.fixture
def source(ring):
    return Rotating(ring.jwks("RS256"), ring.jwks("RS256", "ES256"))


@pytest.fixture
def authenticator(source, clock):
    return JwtAuthenticator(source, Rules(leeway=3), algorithms=("RS256", "ES256"), max_size=8192, clock=clock)


async def test_a_known_key_is_never_looked_for(authenticator, source, ring):
    principal = await authenticator.authenticate(ring.token("RS256", {"kid": "RS256"}))
    assert principal.user_id == "alice"
    assert source.looked == 0


async def test_an_unknown_key_is_looked_for(authenticator, source, ring):
    assert (await authenticator.authenticate(ring.token("ES256", {"kid": "ES256"}))).user_id == "alice"
    assert source.looked == 1


async def test_a_key_that_stays_unknown_lets_nobody_in(authenticator, ring):
    with pytest.raises(Error, match="an unknown key") as caught:
        await authenticator.authenticate(ring.token("ES256", {"kid": "other"}))
    assert caught.value.code == UNAUTHORIZED


async def test_an_algorithm_that_is_not_allowed_makes_nobody_look(authenticator, source, ring):
    with pytest.raises(Error, match="not signed with ES256 or RS256"):
        await authenticator.authenticate(ring.token("EdDSA", {"kid": "EdDSA"}))
    assert source.looked == 0


async def test_the_time_is_the_clocks(authenticator, ring, clock):
    token = ring.token("RS256", {"kid": "RS256"})
    clock.jump(3602)
    await authenticator.authenticate(token)
    clock.jump(1)
    with pytest.raises(Error, match="expired"):
        await authenticator.authenticate(token)


def test_it_says_its_leeway_and_that_it_may_be_stepped(authenticator):
    assert authenticator.leeway == 3
    assert authenticator.immediate
