"""Keys, each with the one algorithm that its type allows. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

MIN_SECRET: Final = 32
"""Bytes: a shared secret must not be shorter than the output of HMAC with SHA-256 (RFC 7518, section 3.2)."""
MIN_RSA: Final = 2048
"""Bits (RFC 7518, section 3.3)."""
MAX_KEYS: Final = 64
"""Maximum keys of a set; a token without `kid` is verified with each possible key."""

_FROM_JWK: Final[Mapping[str, Any]] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}


class KeyProblem(ValueError):
    """The key cannot be used."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that verifies tokens."""

    algorithm: str
    """The only algorithm that this key is used with; a token cannot choose another one (RFC 8725, section 3.1)."""
    material: Any
    """The secret's bytes, or a public key."""
    kid: str | None = None

    def __repr__(self) -> str:
        return f"Key({self.algorithm!r}, kid={self.kid!r})"


def from_secret(text: str) -> Key:
    """The key of HS256.

    Raises:
        KeyProblem: it is too short, or a public key, which is not secret.
    """
    secret = text.encode()
    if b"-----BEGIN" in secret or secret.lstrip().startswith((b"ssh-", b"ecdsa-")):
        raise KeyProblem("this is a public or private key, not a secret; set a public key as 'public_key'")
    if len(secret) < MIN_SECRET:
        raise KeyProblem(
            f"it has {len(secret)} bytes, but must have at least {MIN_SECRET}; create one with: openssl rand -base64 48"
        )
    return Key("HS256", secret)


def from_pem(text: str) -> Key:
    """The key from a public key or a certificate.

    Raises:
        KeyProblem: it is invalid, private, or has an unsupported type or size.
    """
    data = text.encode()
    if b"PRIVATE KEY-----" in data:
        raise KeyProblem("this is a private key, which only the issuer should have; use its public key")
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            public: Any = x509.load_pem_x509_certificate(data).public_key()
        else:
            public = load_pem_public_key(data)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        # The library raises many types: ValueError, UnsupportedAlgorithm, errors of OpenSSL, panics of Rust.
        raise KeyProblem(
            "this is not a public key or certificate in PEM (text between -----BEGIN … and -----END …)"
        ) from problem
    return Key(_algorithm_of(public), public)


def from_jwk(data: Mapping[str, Any]) -> Key:
    """The key from a JWK (RFC 7517).

    Raises:
        KeyProblem: it is not for signatures, contains a private key or a secret, or has an unsupported type, size or
            algorithm.
    """
    kind, kid = data.get("kty"), data.get("kid")
    if not isinstance(kind, str) or kind not in _FROM_JWK:
        raise KeyProblem(f"its type is not one of {', '.join(_FROM_JWK)}")
    if "d" in data:
        raise KeyProblem("it contains a private key")
    if data.get("use", "sig") != "sig" or "verify" not in _operations(data):
        raise KeyProblem("it is not for verifying signatures")
    if kid is not None and not isinstance(kid, str):
        raise KeyProblem("its kid is not a string")
    try:
        public = _FROM_JWK[kind].from_jwk(dict(data))
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise KeyProblem("it is malformed") from problem
    algorithm = _algorithm_of(public)
    # RFC 9864 names Ed25519 itself as the algorithm.
    if data.get("alg", algorithm) not in ({algorithm, "Ed25519"} if algorithm == "EdDSA" else {algorithm}):
        raise KeyProblem("it is for another algorithm")
    return Key(algorithm, public, kid)


def _operations(data: Mapping[str, Any]) -> Any:
    operations = data.get("key_ops", ["verify"])
    return operations if isinstance(operations, list) else ()


def from_jwks(text: bytes) -> list[Key]:
    """The usable keys of a set; others are ignored, as the RFC requires.

    Two different keys may have the same kid: a token with this kid is verified with both, because both belong to the
    issuer.

    Raises:
        KeyProblem: it is not a set of keys, or none of them can be used.
    """
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise KeyProblem("it is not JSON") from None
    listed = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise KeyProblem("it is not a JWKS, an object with a list of 'keys'")
    if len(listed) > MAX_KEYS:
        raise KeyProblem(f"it has {len(listed)} keys, but at most {MAX_KEYS} are allowed")
    keys, reasons = [], []
    for item in listed:
        try:
            keys.append(from_jwk(item if isinstance(item, dict) else {}))
        except KeyProblem as problem:
            reasons.append(str(problem))
    if not keys:
        why = f": {reasons[0]}" if reasons else ""
        raise KeyProblem(f"it has no usable key (RSA, P-256 or Ed25519, for signatures){why}")
    return keys


def _algorithm_of(public: Any) -> str:
    match public:
        case rsa.RSAPublicKey():
            if public.key_size < MIN_RSA:
                raise KeyProblem(f"an RSA key of {public.key_size} bits is too weak; use at least {MIN_RSA} bits")
            return "RS256"
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return "ES256"
        case ed25519.Ed25519PublicKey():
            return "EdDSA"
        case _:
            raise KeyProblem("a key must be RSA (for RS256), EC on the curve P-256 (ES256) or Ed25519 (EdDSA)")
