"""The errors of an export."""

from __future__ import annotations

from streamer.core.errors import StreamerError


class ExportError(StreamerError):
    """The file cannot be exported; the message says what to change."""
