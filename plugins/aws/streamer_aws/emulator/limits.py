"""What AWS allows. Its own numbers are the defaults; a test takes small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds, rates per second.

    The numbers are those of API Gateway's quotas for WebSocket APIs, of Lambda's quotas, and of the event source
    mappings' documented behaviour. Where AWS names no number, the comment says so.
    """

    frame: int = 32 * 1024
    """Of a frame that comes in; a larger one closes the connection with 1009."""
    message: int = 128 * 1024
    """Of a message, either way: 1009 when it comes in, 413 when it is posted."""
    url: int = 4096
    """Characters of the URL that a client connects to; 414 beyond."""
    idle: float = 10 * MINUTE
    """Without a frame in either direction, then the connection is closed with 1001."""
    lifetime: float = 2 * HOUR
    """Of a connection, whatever it does; then it is closed with 1001."""
    integration_timeout: float = 29.0
    """How long the gateway waits for a function. The function itself runs on."""
    connects: int = 500
    """New connections a second; 429 beyond."""
    requests: int = 10_000
    """Messages from clients and calls of `@connections` together, a second."""
    client_buffer: int = 1024 * 1024
    """Bytes that wait for one client that does not read; 429 beyond. AWS has such a limit and does not say its size."""
    function_timeout: float = 29.0
    """Of the functions that the gateway calls."""
    processor_timeout: float = 15 * MINUTE
    """Of the functions that work through the queue. No function on Lambda has more."""
    sweep_timeout: float = MINUTE
    """Of the function that the schedule calls, as the template has it."""
    concurrency: int = 1000
    """Invocations at the same time, of each function; beyond that Lambda throttles."""
    batch: int = 1
    """Messages or records that one invocation of the processor gets at most: as many as the template's `BatchSize`. AWS
    allows 10 messages of a queue."""
    queue_wait: int = 20
    """Seconds that one look at the queue waits for a message."""
    visibility: int = 90 * 60
    """Seconds until the queue shows a message again that was not deleted: six times the processor's timeout."""
    receives: int = 5
    """How often the queue hands a message out before it goes to the dead-letter queue."""
    stream_poll: float = 0.25
    """Between two looks at a shard without records."""
    stream_retries: int = 5
    """How often a record that fails is tried again before the mapping gives it up."""
    sweep_every: float = MINUTE
    """Between two runs of the schedule."""
