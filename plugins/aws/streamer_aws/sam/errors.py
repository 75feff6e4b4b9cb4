"""What an export refuses."""

from __future__ import annotations

from streamer.core.errors import StreamerError


class ExportError(StreamerError):
    """The file cannot be exported as it is; the message says what to change."""
