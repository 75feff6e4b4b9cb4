"""Names of owners without authentication. A client's secret must not be readable in stores and logs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

CLIENT: Final = "client:"
OWNER_KEY: Final = "owner-key"
"""The name under which a store keeps the key."""
KEY_SIZE: Final = 32
"""Bytes."""
_DIGEST_SIZE: Final = 10
"""Bytes of the digest: sixteen characters when encoded, short enough to be shown. Without the key it can only be
guessed, with one connection per guess.
"""


def new_key() -> bytes:
    """A new key for the names of one store."""
    return secrets.token_bytes(KEY_SIZE)


class OwnerNames:
    """Makes names by a keyed digest: always the same for a client, and useless to other readers.

    Args:
        key: kept in the store, so that a client finds its requests again.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def client(self, client_id: str) -> str:
        """The owner's name for a `client_id`."""
        return CLIENT + self._digest("client", client_id)

    def address(self, block: str) -> str:
        """The name of an address block."""
        return self._digest("address", block)

    def _digest(self, kind: str, text: str) -> str:
        made = hmac.digest(self._key, f"{kind}\0{text}".encode(), hashlib.sha256)
        return base64.b32encode(made[:_DIGEST_SIZE]).decode().lower()
