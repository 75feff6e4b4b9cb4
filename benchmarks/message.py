"""The one request that every server answers: 154 bytes, six fields."""

from __future__ import annotations

import json
import os

PAYLOAD = {
    "name": "Grace Hopper",
    "email": "gh@example.com",
    "age": 45,
    "active": True,
    "score": 97.5,
    "tags": ["navy", "cobol"],
}
REQUEST_ID = "req-000001"
SYNC = json.dumps({"id": REQUEST_ID, "action": "echo", "payload": PAYLOAD}, separators=(",", ":")).encode()
LIFE = json.dumps({"action": "lifecycle", "payload": PAYLOAD}, separators=(",", ":")).encode()
ANSWER = {"type": "response", "request_id": REQUEST_ID, "success": True, "data": {"echo": PAYLOAD}}

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "email", "age", "active", "score", "tags"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "email": {"type": "string", "pattern": "^[^@ ]+@[^@ ]+$"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "active": {"type": "boolean"},
        "score": {"type": "number", "minimum": 0, "maximum": 100},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 10},
    },
}

assert len(SYNC) == 154, len(SYNC)


def frame(text: bytes) -> bytes:
    """The text as one masked frame of a client (RFC 6455, section 5.2), ready to be written again and again."""
    assert 126 <= len(text) < 65536, "only the middle form of the length is needed here"
    mask = os.urandom(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
    return b"\x81" + bytes([0x80 | 126]) + len(text).to_bytes(2) + mask + body
