"""Validates the claims of a token with a verified signature, and creates the principal. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from streamer.auth.token import refused
from streamer.core.errors import FORBIDDEN, Error
from streamer.core.principal import Principal

MAX_NAME: Final = 256
"""Maximum characters of a user, a tenant or a permission."""
MAX_DEPTH: Final = 16
"""Maximum nesting of objects and lists."""
LATEST: Final = 253_402_300_799
"""The last second of the year 9999: later times cannot be written as a date."""
_SPACED: Final = frozenset({"scope", "scp"})
"""Claims that contain several words in one string (RFC 8693, section 4.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The required values of claims, and the claims that identify the user."""

    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    leeway: float = 0.0
    """Seconds."""
    required: tuple[str, ...] = ("exp",)
    tenants: frozenset[str] | None = None
    """None: all tenants."""
    user_claim: str = "sub"
    tenant_claim: str = "tenant_id"
    permissions_claim: str = "permissions"
    passed_on: tuple[str, ...] = ()

    def principal(self, payload: bytes, now: float) -> Principal:
        """The principal of a verified token.

        Args:
            payload: JSON.
            now: seconds since 1970-01-01 UTC.

        Raises:
            Error: UNAUTHORIZED when the claims are invalid, FORBIDDEN when the tenant is not allowed.
        """
        claims = _claims(payload)
        for name in self.required:
            if claims.get(name) is None:
                raise refused(f"lacks the claim '{name}'")
        expires_at = self._check_times(claims, now)
        self._check_issuer(claims)
        self._check_audience(claims)
        user = _name(claims, self.user_claim)
        if not user:
            raise refused(f"lacks the claim '{self.user_claim}'")
        tenant = _name(claims, self.tenant_claim)
        if self.tenants is not None and tenant not in self.tenants:
            raise Error(FORBIDDEN, "Your tenant is not allowed")
        return Principal(
            user_id=user,
            tenant_id=tenant,
            permissions=self._permissions(claims),
            expires_at=expires_at,
            claims={name: claims[name] for name in self.passed_on if name in claims},
        )

    def _check_times(self, claims: dict[str, Any], now: float) -> float | None:
        expires_at = _time(claims, "exp")
        if expires_at is not None and now >= expires_at + self.leeway:
            raise refused("has expired")
        for name in ("nbf", "iat"):
            begins = _time(claims, name)
            if begins is not None and now < begins - self.leeway:
                raise refused("is not yet valid")
        return expires_at

    def _check_issuer(self, claims: dict[str, Any]) -> None:
        issuer = claims.get("iss")
        if self.issuers and not (isinstance(issuer, str) and issuer in self.issuers):
            raise refused("has another issuer")

    def _check_audience(self, claims: dict[str, Any]) -> None:
        audience = claims.get("aud")
        if audience is None:
            if self.audiences:
                raise refused("is for another audience")
            return
        listed = audience if isinstance(audience, list) else [audience]
        # Without a configured audience, a token that has one is meant for another service (RFC 7519, section 4.1.3).
        if not all(isinstance(one, str) for one in listed) or self.audiences.isdisjoint(listed):
            raise refused("is for another audience")

    def _permissions(self, claims: dict[str, Any]) -> frozenset[str]:
        name = self.permissions_claim
        value = claims.get(name)
        if isinstance(value, str) and name in _SPACED:
            value = value.split()
        if value is None:
            return frozenset()
        if not isinstance(value, list) or not all(isinstance(one, str) and 0 < len(one) <= MAX_NAME for one in value):
            raise refused(f"has a claim '{name}' that is not a list of strings")
        return frozenset(value)


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise refused("has claims that cannot be parsed") from None
    if not isinstance(claims, dict) or _depth_over(claims, MAX_DEPTH):
        raise refused("has claims that cannot be parsed")
    return claims


def _depth_over(value: Any, limit: int) -> bool:
    layer = [value]
    for _ in range(limit):
        inner: list[Any] = []
        for item in layer:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return False
        layer = inner
    return any(isinstance(item, dict | list) for item in layer)


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST:
        raise refused(f"has a claim '{name}' that is not a time in seconds")
    return float(value)


def _name(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise refused(f"has a claim '{name}' that is not a string of 1 to {MAX_NAME} printable characters")
    return value
