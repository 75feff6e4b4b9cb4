"""A token's outside. The acceptance tests attack it; here is what the attacks do not reach."""

import base64
import json

import pytest

from streamer.auth.keys import from_pem, from_secret
from streamer.auth.options import ALGORITHMS
from streamer.auth.token import Header, checked_payload, read_header, unchecked_payload
from streamer.core.errors import UNAUTHORIZED, Error


def with_header(header):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() + ".e30.AA"


def test_a_header_says_algorithm_and_key(ring):
    assert read_header(ring.token("EdDSA", {"kid": "k"}), ALGORITHMS, 8192) == Header("EdDSA", "k")
    assert read_header(ring.token(), ALGORITHMS, 8192) == Header("HS256", None)


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_types_of_access_tokens_are_understood(kind):
    assert read_header(with_header({"alg": "RS256", "typ": kind}), ALGORITHMS, 8192).algorithm == "RS256"


@pytest.mark.parametrize(
    "header",
    [
        b"\xff",
        b"null",
        b"7",
        {"alg": "RS256", "typ": None},
        {"alg": "RS256", "typ": 1},
        {"alg": "RS256", "typ": "dpop+jwt"},
        {"alg": "RS256", "kid": ["k"]},
        {"alg": "RS256", "kid": "k" * 513},
        {"alg": "RS384"},
        {"alg": "RS256", "crit": ["exp"]},
        {"alg": "RS256", "b64": True},
    ],
)
def test_what_is_not_understood_is_refused(header):
    with pytest.raises(Error) as caught:
        read_header(with_header(header), ALGORITHMS, 8192)
    assert caught.value.code == UNAUTHORIZED


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c.d", "é.b.c", "=.b.c", "a.b.c"])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(Error):
        read_header(token, ALGORITHMS, 8192)


def test_a_token_is_measured_before_it_is_read(ring):
    token = ring.token()
    read_header(token, ALGORITHMS, len(token))
    with pytest.raises(Error, match="longer than"):
        read_header(token, ALGORITHMS, len(token) - 1)


def test_any_of_the_keys_may_have_signed(ring, other_ring):
    keys = [from_pem(other_ring.pem("ES256")), from_pem(ring.pem("ES256"))]
    assert json.loads(checked_payload(ring.token("ES256"), keys))["sub"] == "alice"


def test_a_key_is_never_used_with_another_algorithm_than_its_own(ring):
    for key in (from_pem(ring.pem("RS256")), from_secret(ring.secret)):
        with pytest.raises(Error, match="invalid signature"):
            checked_payload(ring.token("ES256"), [key])


def test_without_keys_no_signature_fits(ring):
    with pytest.raises(Error, match="invalid signature"):
        checked_payload(ring.token(), [])


def test_a_token_made_here_can_be_looked_into(ring):
    assert json.loads(unchecked_payload(ring.token()))["sub"] == "alice"
