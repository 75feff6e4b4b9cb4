"""Creates tokens and keys for development; in production, an identity provider does this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from streamer.auth.factory import configured_key
from streamer.auth.keys import KeyProblem, from_jwks, from_pem
from streamer.auth.sources import KeySet
from streamer.auth.token import checked_payload, read_header
from streamer.contracts.components import BuildContext

RSA_BITS: Final = 2048


def new_pair(algorithm: str) -> tuple[str, str]:
    """A new private key and its public key, both in PEM.

    Args:
        algorithm: RS256, ES256 or EdDSA.
    """
    private: Any
    match algorithm:
        case "RS256":
            private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        case _:
            private = ed25519.Ed25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        _public_pem(private),
    )


def signed(claims: Mapping[str, Any], key: str, *, kid: str | None = None) -> str:
    """A signed token.

    Args:
        claims: its payload.
        key: a private key in PEM, whose type decides the algorithm; or the secret of HS256.
        kid: the key's id in the header.

    Raises:
        KeyProblem: the private key has an unsupported type, or a password.
    """
    headers = None if kid is None else {"kid": kid}
    if "-----BEGIN" not in key:
        return jwt.encode(dict(claims), key, algorithm="HS256", headers=headers)
    try:
        private: Any = load_pem_private_key(key.encode(), None)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:
        # The library raises many types: ValueError, TypeError, errors of OpenSSL, panics of Rust.
        raise KeyProblem("this is not a private key in PEM without a password") from problem
    return jwt.encode(dict(claims), private, algorithm=from_pem(_public_pem(private)).algorithm, headers=headers)


def claims_of(
    options: Mapping[str, Any],
    *,
    user: str,
    tenant: str | None,
    permissions: Sequence[str],
    now: float,
    lifetime: float,
) -> dict[str, Any]:
    """Claims that fulfil the configured rules, with the configured names.

    Args:
        options: of the component `jwt`, with defaults.
        user: the user of the token.
        tenant: the user's tenant; None uses the allowed tenant if there is only one.
        permissions: of the user.
        now: seconds since 1970-01-01 UTC.
        lifetime: seconds.
    """
    claims: dict[str, Any] = {options["user_claim"]: user, "iat": int(now), "exp": int(now + lifetime)}
    tenants = options.get("tenants", ())
    if tenant is None and len(tenants) == 1:
        tenant = tenants[0]
    if tenant is not None:
        claims[options["tenant_claim"]] = tenant
    if permissions:
        claims[options["permissions_claim"]] = list(permissions)
    for name, option in (("iss", "issuer"), ("aud", "audience")):
        if configured := options.get(option):
            claims[name] = configured if isinstance(configured, str) else configured[0]
    return claims


def check_fits(token: str, options: Mapping[str, Any], algorithms: Sequence[str], context: BuildContext) -> None:
    """Verifies the token with the configured keys; does nothing for keys at a URL.

    Raises:
        Error: UNAUTHORIZED, with the message of the service.
        OSError: the keys cannot be read.
        ValueError: the keys are invalid.
    """
    jwks = options.get("jwks")
    header = read_header(token, algorithms, len(token))
    if jwks is None:
        key = configured_key(options, context)
        checked_payload(token, [key] if key.algorithm == header.algorithm else [])
    elif "file" in jwks:
        keys = KeySet(from_jwks(context.path(jwks["file"]).read_bytes()), algorithms)
        checked_payload(token, keys.find(header))


def _public_pem(private: Any) -> str:
    pem: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()
