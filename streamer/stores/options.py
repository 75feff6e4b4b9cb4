"""JSON Schemas of the built-in stores' options, separate from the stores: reading them imports nothing heavy."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.units import format_size

MAX_PENDING: Final = 64 * 1024 * 1024
MAX_READING: Final = 16 * 1024 * 1024

SQLITE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "path": {
            "type": "string",
            "format": "path",
            "default": "./streamer.db",
            "description": "The database file, created if missing, with `-wal`, `-shm` and `.lock` files next to it.",
        },
        "max_pending": {
            "type": "string",
            "format": "size",
            "default": format_size(MAX_PENDING),
            "description": "Maximum bytes that wait to be written. Beyond this, new requests are OVERLOADED.",
        },
        "max_reading": {
            "type": "string",
            "format": "size",
            "default": format_size(MAX_READING),
            "description": "Maximum bytes of requests that are read at the same time. Beyond this, reads wait.",
        },
    },
    "additionalProperties": False,
}
