"""The names of owners that no token proves: a client's secret must not be readable in what is stored and logged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

CLIENT: Final = "client:"
OWNER_KEY: Final = "owner-key"
"""Under which a store keeps the key."""
KEY_SIZE: Final = 32
"""Bytes."""
_DIGEST_SIZE: Final = 10
"""Bytes: sixteen characters, short enough to be shown. Whoever does not have the key can only guess, one connection a
guess."""


def new_key() -> bytes:
    """A key for the names of one store."""
    return secrets.token_bytes(KEY_SIZE)


class OwnerNames:
    """Makes names by a keyed digest: the same for the same client, and useless to those who read them.

    Args:
        key: kept with the store, so that a client finds its requests again.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def client(self, client_id: str) -> str:
        """The owner that a connection with this `client_id` is."""
        return CLIENT + self._digest("client", client_id)

    def address(self, block: str) -> str:
        """The name of a block of addresses."""
        return self._digest("address", block)

    def _digest(self, kind: str, text: str) -> str:
        made = hmac.digest(self._key, f"{kind}\0{text}".encode(), hashlib.sha256)
        return base64.b32encode(made[:_DIGEST_SIZE]).decode().lower()
