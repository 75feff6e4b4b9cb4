"""Tokens and keys for development."""

import json

import pytest

from streamer.auth import issuer
from streamer.auth.keys import KeyProblem, from_pem
from streamer.auth.options import ALGORITHMS, JWT
from streamer.auth.token import read_header, unchecked_payload
from streamer.config.build import with_defaults
from streamer.contracts.components import BuildContext
from streamer.core.errors import Error


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_new_pair_signs_what_its_public_key_checks(algorithm, tmp_path):
    private, public = issuer.new_pair(algorithm)
    assert from_pem(public).algorithm == algorithm
    token = issuer.signed({"sub": "a"}, private, kid="k")
    assert read_header(token, ALGORITHMS, 8192) == (algorithm, "k")
    issuer.check_fits(token, {"public_key": public}, ALGORITHMS, BuildContext(base_dir=tmp_path))


@pytest.mark.parametrize("key", ["-----BEGIN nonsense", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"])
def test_what_is_no_private_key_signs_nothing(key):
    with pytest.raises(KeyProblem, match="not a private key"):
        issuer.signed({}, key)


def claims(**options):
    given = {name: options.pop(name) for name in ("tenant", "permissions") if name in options}
    given = {"tenant": None, "permissions": (), **given}
    return issuer.claims_of(with_defaults(options, JWT), user="alice", now=1000.5, lifetime=60, **given)


def test_claims_are_what_the_rules_ask_for_under_their_names():
    assert claims() == {"sub": "alice", "iat": 1000, "exp": 1060}
    assert claims(
        tenant="t",
        permissions=("a", "b"),
        issuer="i",
        audience=["x", "y"],
        user_claim="u",
        tenant_claim="o",
        permissions_claim="p",
    ) == {"u": "alice", "o": "t", "p": ["a", "b"], "iss": "i", "aud": "x", "iat": 1000, "exp": 1060}


def test_the_only_tenant_that_is_let_in_is_taken():
    assert claims(tenants=["acme"])["tenant_id"] == "acme"
    assert claims(tenants=["acme"], tenant="other")["tenant_id"] == "other"
    assert "tenant_id" not in claims(tenants=["acme", "globex"])


def test_a_token_that_the_keys_do_not_check_is_found_out(ring, other_ring, tmp_path):
    context = BuildContext(base_dir=tmp_path)
    (tmp_path / "jwks.json").write_bytes(ring.jwks("ES256"))
    fitting = issuer.signed({}, ring.private_pem("ES256"), kid="ES256")
    foreign = issuer.signed({}, other_ring.private_pem("ES256"), kid="ES256")
    unnamed = issuer.signed({}, ring.private_pem("RS256"))
    for options in ({"jwks": {"file": "jwks.json"}}, {"public_key": ring.pem("ES256")}):
        issuer.check_fits(fitting, options, ALGORITHMS, context)
        for token in (foreign, unnamed):
            with pytest.raises(Error, match="invalid signature"):
                issuer.check_fits(token, options, ALGORITHMS, context)
    # Keys behind a URL are not asked for.
    issuer.check_fits(foreign, {"jwks": {"url": "https://id.example.com"}}, ALGORITHMS, context)


def test_a_secret_signs_too(ring):
    assert json.loads(unchecked_payload(issuer.signed({"sub": "a"}, ring.secret))) == {"sub": "a"}
