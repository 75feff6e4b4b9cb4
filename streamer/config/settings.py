"""The frozen settings from `streamer.yaml`, including every default. Durations are in seconds, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamer.config.problems import Problem
from streamer.core.units import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentUse:
    """One use of a component: `{use: name, …options}`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """As written, with the environment and the defaults of the options' schema filled in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    name: str = "streamer"
    async_threshold: float = 5.0
    expose_errors: bool = False
    strict_messages: bool = False
    max_depth: int = 64
    max_result_size: int = 8 * 1024 * 1024
    """Limit for one result, as JSON; a larger one ends its request with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    host: str = "127.0.0.1"
    port: int = 8080
    path: str = "/ws"
    max_message_size: int = 128 * 1024
    max_connections: int = 20_000
    max_connections_per_principal: int = 1000
    """Open connections of one owner: a principal, or the clients with the same `client_id`."""
    max_connections_per_address: int | None = None
    """Open connections of one IPv4 address or IPv6 /64; None: no limit. One address may be a whole office or a proxy,
    which only the operator knows.
    """
    connection_rate: Rate | None = None
    """New connections of one address; the count is also the burst. None: no limit."""
    max_handshakes: int = 8192
    """Sockets in their handshake; one more closes the oldest."""
    max_handshakes_per_address: int = 2048
    """The same for one address. Trusted proxies are not limited."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks and addresses of proxies whose forwarded_header is trusted."""
    forwarded_header: str = "X-Forwarded-For"
    """The header with the client's address: `X-Forwarded-For` or `Forwarded`."""
    max_running: int = 1024
    """Concurrent requests of one connection that are being answered or stored; one more is RATE_LIMITED."""
    max_service_actions: int = 256
    """Concurrent requests for the service's own actions (`streamer.*`, but not `streamer.ping`) of one owner; one more
    is RATE_LIMITED. A few are processed at a time; the others wait.
    """
    refused_limit: Rate = Rate(6000, 60.0)  # noqa: RUF009 - a rate cannot be changed
    """Refused messages per connection; the count is also the burst. One more closes the connection with 1008.

    Every refusal before a request is answered or queued counts, unless its error is retryable: malformed messages,
    unknown actions, missing permissions (FORBIDDEN), and errors of the schema or of the handler's `validate`. A
    VALIDATION_ERROR counts once for each violation that it lists.
    """
    max_buffered: int = 1024 * 1024
    """Bytes per connection that wait to be sent, in addition to the kernel's buffer. Above this limit, nothing more is
    read from the connection, only the newest progress is kept, and outcomes wait in the store. At four times the limit,
    not counting the largest message, the connection is closed with 3008.
    """
    allowed_origins: tuple[str, ...] = ()
    """Empty: all origins. A request without an Origin header, which comes from a program, is always allowed."""
    handshake_timeout: float = 10.0
    ping_interval: float = 30.0
    """A ping is sent after this time without a message."""
    ping_timeout: float = 20.0
    """Time limit for the pong."""
    idle_timeout: float = 0.0
    """Closes a connection that sent no message and waited for none for this long; 0: never."""
    drain_timeout: float = 30.0
    serve_client: bool = True
    """Answer `GET /streamer.js` and `GET /streamer.d.ts` with the JavaScript client."""
    tls: TlsSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    store: ComponentUse = ComponentUse(name="sqlite")
    connections: ComponentUse = ComponentUse(name="local")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    concurrency: int = 64
    lease: float = 30.0
    poll_interval: float = 1.0
    """How often the queue is queried when nothing wakes the worker (retries that become due wake it)."""
    result_ttl: float = 7 * 86400.0
    max_queued: int = 100_000
    max_queued_per_owner: int | None = None
    """Limit of one owner; None: a tenth of `max_queued`."""
    max_queued_per_address: int | None = None
    """Limit of one IPv4 address or IPv6 /64, without authentication; None: a quarter of `max_queued`."""
    progress_interval: float = 0.1
    processes: int = 0
    """Processes for CPU-bound handlers of queued requests; 0: one per core."""
    threads: int = 32
    """Threads for plain functions of queued requests."""
    direct_processes: int = 0
    """Processes for CPU-bound handlers of requests that are answered at once; 0: one per core. Queued requests have
    their own processes.
    """
    direct_threads: int = 32
    """Threads for plain functions of requests that are answered at once."""
    tenant_concurrency: int | None = None
    """Concurrent requests of one tenant; None: no limit."""

    @property
    def share_of_owner(self) -> int:
        """The limit of waiting requests of one owner."""
        return max(self.max_queued // 10, 1) if self.max_queued_per_owner is None else self.max_queued_per_owner

    @property
    def share_of_address(self) -> int:
        """The limit of waiting requests of one address, without authentication."""
        return max(self.max_queued // 4, 1) if self.max_queued_per_address is None else self.max_queued_per_address


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 8081
    token: str | None = None
    """None: no token, or that of `token_file`."""
    token_file: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    """Host names of the header `Host` that are allowed besides `host`, `localhost` and IP addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    max_attempts: int = 3
    initial: float = 1.0
    factor: float = 2.0
    max: float = 30.0
    jitter: float = 0.2
    """Each wait is multiplied by a random number between 1 - jitter and 1 + jitter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitSettings:
    limit: Rate
    """The number of requests per time."""
    burst: int | None = None
    """The number of requests at once; None: the count of `limit`."""
    per: str = "action"
    """What is limited: each `connection`, `principal` or `tenant`, or the whole `action`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSettings:
    name: str
    handler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    estimated_duration: float | None = None
    """Seconds; None: the handler's own estimate."""
    mode: str = "auto"
    """`sync`, `async` or `auto`."""
    timeout: float | None = None
    """Seconds for one attempt; None: no limit."""
    schema: Any = None
    """The payload's JSON Schema, loaded; None: any payload."""
    schema_path: Path | None = None
    """The file that contains `schema`, from which its relative `$ref`s start: its own, or the configuration; None when
    the handler brought it.
    """
    schema_resources: Mapping[str, Any] = field(default_factory=dict)
    """The documents that the schema's `$ref`s need, by absolute URI, when its own base URI is
    `schema_path.as_uri()`.
    """
    result_schema: Any = None
    result_schema_path: Path | None = None
    result_schema_resources: Mapping[str, Any] = field(default_factory=dict)
    retry: RetrySettings = RetrySettings()
    rate_limit: RateLimitSettings | None = None
    """The rate limit of this action; None: no limit of its own."""
    concurrency: int | None = None
    priority: int = 0
    permissions: tuple[str, ...] = ()
    """The permissions that a caller needs, all of them."""
    expires_after: float | None = None
    """Seconds that a request may wait in the queue for an attempt; None: no limit."""
    cancel_after: float | None = None
    """Seconds from the end of its last connection until a queued request is cancelled; None: never."""
    max_wait: float | None = None
    """The longest `wait` of a client, in seconds; None: `service.async_threshold`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    allow: tuple[str, ...] | None = None
    """Distributions that may load; None: all that are installed."""
    block: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    level: str = "info"
    format: str = "auto"
    """`auto` (readable text on a terminal, JSON otherwise), `json` or `console`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a file."""

    path: Path
    """Absolute path of the file."""
    service: ServiceSettings = ServiceSettings()
    server: ServerSettings = ServerSettings()
    backends: BackendSettings = BackendSettings()
    worker: WorkerSettings = WorkerSettings()
    admin: AdminSettings = AdminSettings()
    plugins: PluginSettings = PluginSettings()
    logs: LogSettings = LogSettings()
    auth: ComponentUse = ComponentUse(name="none")
    middleware: tuple[ComponentUse, ...] = ()
    actions: Mapping[str, ActionSettings] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    """Values that must never be shown: those filled from `${…}` into places marked as secret. Values of one to three
    characters are left out, since they would be found everywhere.
    """
    secret_places: frozenset[tuple[str | int, ...]] = frozenset()
    """The places of secrets, including literal ones, as keys and positions from the root of the file."""
    warnings: tuple[Problem, ...] = ()
    """The warnings about the file."""

    @property
    def base_dir(self) -> Path:
        """The folder that relative paths in the file start from."""
        return self.path.parent
