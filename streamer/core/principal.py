"""Who a connection speaks for, once it has proved it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec


class Principal(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An authenticated user of a tenant. It travels with each request, through the queue too."""

    user_id: str
    tenant_id: str = ""
    """Empty where the service knows no tenants."""
    permissions: frozenset[str] = frozenset()
    """What it may do; an action's `permissions` must all be among them."""
    expires_at: float | None = None
    """When its proof runs out, in seconds since 1970-01-01 UTC; None: never."""
    claims: dict[str, Any] = msgspec.field(default_factory=dict)
    """What else its proof says of it, as far as the configuration lets it through."""

    @property
    def owner(self) -> str:
        """The owner of its requests, made of tenant and user so that no two principals share one."""
        return f"principal:{quote(self.tenant_id, safe='')}/{quote(self.user_id, safe='')}"

    def may(self, needed: frozenset[str]) -> bool:
        """Whether it holds all of these permissions."""
        return needed <= self.permissions
