"""Whatever a token holds, the answer is a principal or an `Error`, and never a principal that nobody signed."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.auth.authenticator import JwtAuthenticator
from streamer.auth.claims import Rules
from streamer.auth.keys import from_secret
from streamer.auth.sources import OneKey
from streamer.core.errors import FORBIDDEN, UNAUTHORIZED, Error
from streamer.core.principal import Principal
from streamer.testing import ManualClock

pytestmark = pytest.mark.no_cover  # many examples of what other tests cover; traced, they take three times as long

SECRET = "a secret of more than thirty-two bytes"
CLOCK = ManualClock()
AUTHENTICATOR = JwtAuthenticator(
    OneKey(from_secret(SECRET)),
    Rules(tenants=frozenset({"acme"}), passed_on=("extra",)),
    algorithms=("HS256",),
    max_size=8192,
    clock=CLOCK,
)
NAMES = [
    "alg",
    "typ",
    "kid",
    "crit",
    "b64",
    "jwk",
    "sub",
    "tenant_id",
    "exp",
    "nbf",
    "iat",
    "iss",
    "aud",
    "permissions",
    "extra",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["HS256", "JWT", "none", "acme", "alice", CLOCK.now() + 60, CLOCK.now() - 60]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES) | st.text(), VALUES)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(header, claims):
    text = b64(json.dumps(header).encode()) + b"." + b64(json.dumps(claims).encode())
    return (text + b"." + b64(hmac.new(SECRET.encode(), text, hashlib.sha256).digest())).decode()


def outcome(token):
    """A principal, or the error's code; anything else breaks the test."""
    try:
        AUTHENTICATOR.authenticate(token).send(None)
    except StopIteration as told:
        return told.value
    except Error as error:
        return error.code
    raise AssertionError("it waits for nothing")


@settings(max_examples=100, deadline=None)
@given(OBJECTS, OBJECTS, st.booleans())
def test_whatever_was_signed_ends_in_an_answer(header, claims, almost):
    if almost:
        header = {"alg": "HS256", **{name: header[name] for name in header if name not in ("alg", "crit", "b64")}}
        claims = {"sub": "alice", "tenant_id": "acme", "exp": CLOCK.now() + 60, **claims}
    made = outcome(signed(header, claims))
    if isinstance(made, Principal):
        assert header["alg"] == "HS256"
        assert (made.user_id, made.tenant_id) == (claims["sub"], "acme")
        assert made.expires_at > CLOCK.now()
    else:
        assert made in (UNAUTHORIZED, FORBIDDEN)


@settings(max_examples=100, deadline=None)
@given(
    st.text()
    | st.binary().map(lambda data: data.decode("latin-1"))
    | st.from_regex(r"[A-Za-z0-9_.=-]*", fullmatch=True)
)
def test_whatever_was_not_signed_lets_nobody_in(token):
    assert outcome(token) == UNAUTHORIZED


HONEST = signed({"alg": "HS256"}, {"sub": "alice", "tenant_id": "acme", "exp": CLOCK.now() + 60})


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(HONEST) - 1), st.characters(min_codepoint=1, max_codepoint=0x17F))
def test_one_changed_character_lets_nobody_in(place, character):
    changed = HONEST[:place] + character + HONEST[place + 1 :]
    assert outcome(changed) == UNAUTHORIZED or changed == HONEST


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(HONEST) - 1))
def test_a_token_cut_short_lets_nobody_in(length):
    assert outcome(HONEST[:length]) == UNAUTHORIZED
