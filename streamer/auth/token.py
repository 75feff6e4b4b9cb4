"""Parses the header and verifies the signature of a token. No other content is used before that."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from jwt import PyJWS, PyJWTError

from streamer.auth.keys import Key
from streamer.auth.options import ALGORITHMS
from streamer.core.errors import UNAUTHORIZED, Error

MAX_KID: Final = 512
_TYPES: Final = frozenset({"jwt", "at+jwt"})
"""Allowed values of `typ`; other kinds of tokens from the same issuer have another purpose (RFC 8725, section 3.11)."""

_SIGNATURES: Final = PyJWS(algorithms=ALGORITHMS)


class Header(NamedTuple):
    """What a header says about the key."""

    algorithm: str
    kid: str | None


def refused(why: str) -> Error:
    """The answer to an invalid token."""
    return Error(UNAUTHORIZED, f"The token {why}")


def read_header(token: str, algorithms: Collection[str], max_size: int) -> Header:
    """The header of a token, if it is well formed and allowed.

    Keys and addresses of keys in the header (`jwk`, `jku`, `x5c`, `x5u`) are never used.

    Args:
        token: as received.
        algorithms: the allowed ones.
        max_size: maximum bytes; a longer token is not parsed.

    Raises:
        Error: UNAUTHORIZED.
    """
    if len(token) > max_size:
        raise refused(f"is longer than {max_size} bytes")
    if not token.isascii() or token.count(".") != 2:  # noqa: PLR2004 - header, payload, signature
        raise refused("is not a JWT: three parts of base64url, separated by dots")
    first = token.partition(".")[0]
    try:
        header: Any = msgspec.json.decode(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise refused("has a header that cannot be parsed") from None
    if not isinstance(header, dict):
        raise refused("has a header that cannot be parsed")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise refused(f"is not signed with {' or '.join(sorted(algorithms))}")
    if "crit" in header or "b64" in header:
        raise refused("requires an extension that is not supported")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID):
        raise refused("has an invalid key id")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise refused("is not an access token")
    return Header(algorithm, kid)


def unchecked_payload(token: str) -> bytes:
    """The payload of a token that was created here, without verification."""
    payload: bytes = _SIGNATURES.decode_complete(token, options={"verify_signature": False})["payload"]
    return payload


def checked_payload(token: str, keys: Sequence[Key]) -> bytes:
    """The payload of a token that one of the keys has signed.

    Args:
        token: whose header was parsed.
        keys: those that may have signed it; each is used with its own algorithm only.

    Raises:
        Error: UNAUTHORIZED.
    """
    for key in keys:
        try:
            payload: bytes = _SIGNATURES.decode_complete(token, key.material, algorithms=[key.algorithm])["payload"]
        except PyJWTError:
            continue
        return payload
    raise refused("has an invalid signature")
