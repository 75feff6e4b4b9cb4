"""Seals small texts that a client stores for us and can neither read nor change. Pure functions."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

_TAG: Final = 12
"""Bytes."""


class Sealer:
    """Seals texts under a key: deterministic encryption whose tag is the nonce, as in SIV mode (RFC 5297).

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, text: str, scope: str) -> str:
        """The sealed text, valid only for `scope`, in letters, digits, `-` and `_`."""
        data = text.encode()
        tag = self._tag(data, scope)
        return base64.urlsafe_b64encode(tag + self._mixed(data, tag)).decode().rstrip("=")

    def open(self, sealed: str, scope: str) -> str | None:
        """The text; None for one that was not sealed here for this scope."""
        try:
            whole = base64.b64decode(sealed.encode("ascii") + b"=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
        tag, data = whole[:_TAG], whole[_TAG:]
        data = self._mixed(data, tag)
        return data.decode() if hmac.compare_digest(tag, self._tag(data, scope)) else None

    def _tag(self, data: bytes, scope: str) -> bytes:
        name = scope.encode()
        return hmac.digest(self._key, b"tag" + len(name).to_bytes(4) + name + data, hashlib.sha256)[:_TAG]

    def _mixed(self, data: bytes, tag: bytes) -> bytes:
        blocks = range(-(-len(data) // hashlib.sha256().digest_size))
        stream = b"".join(hmac.digest(self._key, b"mix" + tag + n.to_bytes(4), hashlib.sha256) for n in blocks)
        return bytes(one ^ other for one, other in zip(data, stream, strict=False))
