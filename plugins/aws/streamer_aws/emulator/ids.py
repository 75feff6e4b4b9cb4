"""Ids in the formats of AWS."""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid
from typing import Final

BYTES_OF_AN_ID: Final = 11
ACCOUNT: Final = "000000000000"
"""The account id of emulators."""


def gateway_id() -> str:
    """Of a connection, a request or a message: url-safe base64 that ends with `=`."""
    return base64.urlsafe_b64encode(secrets.token_bytes(BYTES_OF_AN_ID)).decode()


def is_gateway_id(text: str) -> bool:
    """Whether it has the format of one. An id whose `=` was lost or encoded twice does not."""
    try:
        return len(base64.b64decode(text, altchars=b"-_", validate=True)) == BYTES_OF_AN_ID
    except (binascii.Error, ValueError):
        return False


def request_id() -> str:
    """Of an invocation."""
    return str(uuid.uuid4())


def function_arn(region: str, name: str) -> str:
    """Of a function of the emulator."""
    return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"
