"""Keys, each bound to the one algorithm of its type."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from streamer.auth.keys import Key, KeyProblem, from_jwk, from_jwks, from_pem, from_secret


def pem(private):
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_the_type_of_a_public_key_decides_its_algorithm(ring, algorithm):
    assert from_pem(ring.pem(algorithm)).algorithm == algorithm
    key = from_jwk(ring.jwk(algorithm, kid="one"))
    assert (key.algorithm, key.kid) == (algorithm, "one")


def test_a_certificate_brings_its_key(ring):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ring.private["ES256"].public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day + timedelta(days=1))
        .sign(ring.private["ES256"], SHA256())
    )
    assert from_pem(certificate.public_bytes(Encoding.PEM).decode()).algorithm == "ES256"


def test_a_secret_is_for_hs256(ring):
    assert from_secret(ring.secret) == Key("HS256", ring.secret.encode())


def test_a_key_shows_nothing_of_itself(ring):
    assert ring.secret not in repr(from_secret(ring.secret))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 bytes"),
        ("x" * 31, "31 bytes"),
        ("é" * 15, "30 bytes"),
        ("-----BEGIN PUBLIC KEY-----" + "x" * 40, "not a secret"),
        ("ssh-rsa " + "A" * 40, "not a secret"),
    ],
)
def test_what_is_too_short_or_public_is_no_secret(text, why):
    with pytest.raises(KeyProblem, match=why):
        from_secret(text)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: "", "not a public key"),
        (lambda _: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
        (lambda _: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a public key"),
        (lambda ring: ring.private_pem("RS256"), "private key"),
        (lambda _: pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "1024 bits is too weak"),
        (lambda _: pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (lambda _: pem(ed448.Ed448PrivateKey.generate()), "Ed25519"),
        (lambda _: pem(dsa.generate_private_key(1024)), "RSA"),
    ],
)
def test_what_is_no_key_for_this_is_told(ring, make, why):
    with pytest.raises(KeyProblem, match=why):
        from_pem(make(ring))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kty": "oct", "k": "c2VjcmV0"}, "type"),
        ({"kty": None}, "type"),
        ({"kty": ["RSA"]}, "type"),
        ({"d": "AQAB"}, "private"),
        ({"use": "enc"}, "signatures"),
        ({"key_ops": ["encrypt"]}, "signatures"),
        ({"key_ops": "verify"}, "signatures"),
        ({"alg": "RS512"}, "another algorithm"),
        ({"alg": "HS256"}, "another algorithm"),
        ({"alg": 7}, "another algorithm"),
        ({"n": "!!"}, "malformed"),
        ({"n": 7}, "malformed"),
        ({"e": ""}, "malformed"),
        ({"kid": 7}, "kid"),
    ],
)
def test_a_jwk_that_is_not_for_checking_signatures_is_refused(ring, changes, why):
    with pytest.raises(KeyProblem, match=why):
        from_jwk(ring.jwk("RS256", **changes))


@pytest.mark.parametrize("changes", [{"use": "sig"}, {"key_ops": ["sign", "verify"]}, {"alg": "RS256"}])
def test_a_jwk_that_says_that_it_is_for_signatures_is_used(ring, changes):
    assert from_jwk(ring.jwk("RS256", **changes)).algorithm == "RS256"


@pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
def test_ed25519_has_two_names(ring, name):
    assert from_jwk(ring.jwk("EdDSA", alg=name)).algorithm == "EdDSA"


def test_a_point_that_is_not_on_the_curve_is_refused(ring):
    with pytest.raises(KeyProblem):
        from_jwk(ring.jwk("ES256", y=ring.jwk("ES256")["x"]))


def test_a_set_gives_what_can_be_used_and_passes_over_the_rest(ring):
    listed = [
        ring.jwk("RS256", kid="a"),
        {"kty": "oct", "k": "x"},
        "nonsense",
        ring.jwk("EdDSA"),
        ring.jwk("ES256", d="x"),
    ]
    assert [(key.algorithm, key.kid) for key in from_jwks(json.dumps({"keys": listed}).encode())] == [
        ("RS256", "a"),
        ("EdDSA", None),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JWKS"),
        (b"{}", "not a JWKS"),
        (b'{"keys": {}}', "not a JWKS"),
        (b'{"keys": []}', "no usable key"),
        (b'{"keys": [{"kty": "oct"}]}', "no usable key.*type"),
        (json.dumps({"keys": [{}] * 65}).encode(), "65 keys"),
    ],
)
def test_what_is_no_set_of_keys_is_told(text, why):
    with pytest.raises(KeyProblem, match=why):
        from_jwks(text)
