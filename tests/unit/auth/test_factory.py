"""From options to an authenticator."""

import json

import pytest

from streamer.auth import factory
from streamer.auth.options import JWT
from streamer.config.build import with_defaults
from streamer.contracts.components import BuildContext
from streamer.core.errors import Error, StartError


@pytest.fixture
def context(tmp_path, clock, log):
    return BuildContext(base_dir=tmp_path, clock=clock, logger=log)


def options(**given):
    return with_defaults(given, JWT)


async def whom(given, context, token):
    async with factory.build(options(**given), context) as authenticator:
        return (await authenticator.authenticate(token)).user_id


async def test_a_secret_checks_hs256(ring, context):
    assert await whom({"secret": ring.secret}, context, ring.token()) == "alice"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_may_be_written_or_named(ring, context, algorithm):
    (context.base_dir / "key.pem").write_text(ring.pem(algorithm))
    for written in (ring.pem(algorithm), {"file": "key.pem"}):
        assert await whom({"public_key": written}, context, ring.token(algorithm)) == "alice"


async def test_a_set_in_a_file_is_used_and_read_again(ring, context, clock):
    path = context.base_dir / "jwks.json"
    path.write_bytes(ring.jwks("RS256"))
    async with factory.build(options(jwks={"file": "jwks.json"}), context) as authenticator:
        await authenticator.authenticate(ring.token("RS256", {"kid": "RS256"}))
        path.write_bytes(ring.jwks("ES256", "EdDSA"))
        clock_token = ring.token("ES256", {"kid": "ES256"}, exp=clock.now() + 100)
        await clock.advance(1)
        await authenticator.authenticate(clock_token)


async def test_a_set_behind_a_url_is_fetched_in_the_background(ring, context, monkeypatch):
    asked = []

    async def fetch(url, timeout):
        asked.append((url, timeout))
        return ring.jwks("RS256")

    monkeypatch.setattr("streamer.auth.key_fetcher.fetch", fetch)
    given = {"jwks": {"url": "https://id.example.com/keys", "timeout": "3s"}}
    async with factory.build(options(**given), context) as authenticator:
        for _ in range(100):
            await authenticator.authenticate(ring.token("RS256", {"kid": "RS256"}))
    assert asked == [("https://id.example.com/keys", 3.0)]


@pytest.mark.parametrize(
    ("given", "algorithm", "accepted"),
    [
        ({"algorithms": ["RS256"]}, "RS256", True),
        ({"algorithms": ["RS256"]}, "ES256", False),
        ({"algorithms": ["RS256", "HS256"]}, "HS256", False),
        ({}, "HS256", False),
    ],
)
async def test_only_the_algorithms_of_the_file_are_taken(ring, context, given, algorithm, accepted):
    (context.base_dir / "jwks.json").write_bytes(ring.jwks("RS256", "ES256"))
    token = ring.token(algorithm)
    given = {"jwks": {"file": "jwks.json"}, **given}
    if accepted:
        assert await whom(given, context, token) == "alice"
    else:
        with pytest.raises(Error, match="not signed with"):
            await whom(given, context, token)


EXPECTATIONS = {
    "issuer": ({"issuer": "i"}, {"iss": "i"}, {"iss": "other"}),
    "issuers": ({"issuer": ["i", "j"]}, {"iss": "j"}, {"iss": "other"}),
    "audience": ({"audience": "a"}, {"aud": ["a", "b"]}, {"aud": "other"}),
    "audiences": ({"audience": ["a", "b"]}, {"aud": "b"}, {}),
    "leeway": ({"leeway": "2m"}, {"exp": 1_767_225_600 - 119}, {"exp": 1_767_225_600 - 120}),
    "require": ({"require": ["jti"]}, {"jti": "1", "exp": None}, {"exp": None}),
    "tenants": ({"tenants": ["t"]}, {"tenant_id": "t"}, {"tenant_id": "u"}),
    "user_claim": ({"user_claim": "uid"}, {"uid": "alice", "sub": None}, {}),
    "tenant_claim": ({"tenant_claim": "org", "tenants": ["t"]}, {"org": "t"}, {"tenant_id": "t"}),
    "permissions_claim": ({"permissions_claim": "roles"}, {"roles": ["a"]}, {"roles": "a"}),
    "max_token_size": ({"max_token_size": "300B"}, {}, {"note": "x" * 300}),
}


@pytest.mark.parametrize("name", EXPECTATIONS)
async def test_every_option_has_its_effect(ring, context, name):
    given, right, wrong = EXPECTATIONS[name]
    assert await whom({"secret": ring.secret, **given}, context, ring.token(**right)) == "alice"
    with pytest.raises(Error):
        await whom({"secret": ring.secret, **given}, context, ring.token(**wrong))


async def test_claims_that_are_passed_on_are_on_the_principal(ring, context):
    async with factory.build(options(secret=ring.secret, claims=["email"]), context) as authenticator:
        assert (await authenticator.authenticate(ring.token(email="a@b", x=1))).claims == {"email": "a@b"}


@pytest.mark.parametrize(
    "given",
    [{"secret": "short"}, {"public_key": {"file": "absent.pem"}}, {"jwks": {"file": "absent.json"}}],
    ids=json.dumps,
)
async def test_keys_that_went_bad_after_the_check_stop_the_start(context, given):
    with pytest.raises(StartError, match="^auth: cannot use the keys"):
        async with factory.build(options(**given), context):
            pass
