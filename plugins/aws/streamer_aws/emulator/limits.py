"""The limits of AWS. The defaults are its real numbers; tests use small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds, rates per second.

    The numbers are those of API Gateway's quotas for WebSocket APIs, of Lambda's quotas, and of the documented
    behaviour of event source mappings. Where AWS gives no number, the comment says so.
    """

    frame: int = 32 * 1024
    """Of a received frame; a larger one closes the connection with 1009."""
    message: int = 128 * 1024
    """Of a message in either direction: 1009 when received, 413 when posted."""
    url: int = 4096
    """Characters of the URL of a handshake; 414 beyond."""
    idle: float = 10 * MINUTE
    """Time without a frame in either direction; then the connection is closed with 1001."""
    lifetime: float = 2 * HOUR
    """Lifetime of a connection; then it is closed with 1001."""
    integration_timeout: float = 29.0
    """How long the gateway waits for a function. The function itself continues."""
    connects: int = 500
    """New connections per second; 429 beyond."""
    requests: int = 10_000
    """Messages from clients and calls of `@connections` together, per second."""
    client_buffer: int = 1024 * 1024
    """Bytes buffered for one client that does not read; 429 beyond. AWS has such a limit, but does not document its
    size.
    """
    function_timeout: float = 29.0
    """Of the functions that the gateway calls."""
    processor_timeout: float = 15 * MINUTE
    """Of the functions that process the queue; the maximum on Lambda."""
    sweep_timeout: float = MINUTE
    """Of the function that the schedule calls, as in the template."""
    concurrency: int = 1000
    """Concurrent invocations of each function; beyond that Lambda throttles."""
    batch: int = 1
    """Messages or records per invocation of the processor: the template's `BatchSize`. AWS allows 10 messages of a
    queue.
    """
    queue_wait: int = 20
    """Seconds that one poll of the queue waits for a message."""
    visibility: int = 90 * 60
    """Seconds until the queue shows a message again that was not deleted: six times the processor's timeout."""
    receives: int = 5
    """How often the queue delivers a message before it moves it to the dead-letter queue."""
    stream_poll: float = 0.25
    """Between two polls of a shard without records."""
    stream_retries: int = 5
    """How often a failed record is retried before the mapping gives it up."""
    sweep_every: float = MINUTE
    """Between two runs of the schedule."""
