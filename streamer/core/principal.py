"""The authenticated principal of a connection."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec


class Principal(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An authenticated user of a tenant. It is part of each request, including queued ones."""

    user_id: str
    tenant_id: str = ""
    """Empty where the service has no tenants."""
    permissions: frozenset[str] = frozenset()
    """The user's permissions; an action's `permissions` must all be included."""
    expires_at: float | None = None
    """When the authentication expires, in seconds since 1970-01-01 UTC; None: never."""
    claims: dict[str, Any] = msgspec.field(default_factory=dict)
    """Other claims of the token, as far as the configuration includes them."""

    @property
    def owner(self) -> str:
        """The owner of the user's requests, composed of tenant and user so that no two principals have the same."""
        return f"principal:{quote(self.tenant_id, safe='')}/{quote(self.user_id, safe='')}"

    def may(self, needed: frozenset[str]) -> bool:
        """Whether the principal has all of these permissions."""
        return needed <= self.permissions
