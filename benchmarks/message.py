"""The one request that every server answers: 154 bytes, six fields."""

from __future__ import annotations

import json
import os
from datetime import datetime

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
ANSWER = {
    "type": "response",
    "request_id": REQUEST_ID,
    "success": True,
    "data": {"echo": PAYLOAD, "action": "echo", "received_at": "2026-01-01T12:00:00.000Z"},
}
"""With a time of its own in each, as the service's `echo` gives it."""

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


def constant_parts(answer: bytes) -> tuple[bytes, bytes]:
    """What stands before and after the time in every right answer.

    Raises:
        ValueError: this is none.
    """
    found = json.loads(answer)
    received_at = found.get("data", {}).get("received_at", "")
    datetime.fromisoformat(received_at)
    if {**found, "data": {**found["data"], "received_at": ANSWER["data"]["received_at"]}} != ANSWER:
        raise ValueError("not the answer to this request")
    before, _, after = answer.partition(received_at.encode())
    return before, after


def frame(text: bytes) -> bytes:
    """The text as one masked frame of a client (RFC 6455, section 5.2), ready to be written again and again."""
    assert 126 <= len(text) < 65536, "only the middle form of the length is needed here"
    mask = os.urandom(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
    return b"\x81" + bytes([0x80 | 126]) + len(text).to_bytes(2) + mask + body
