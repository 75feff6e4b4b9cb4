"""The frozen settings: what `streamer.yaml` says, with every default filled in. Durations are seconds, sizes bytes."""

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
    """As written, after interpolation, with the option schema's defaults filled in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    name: str = "streamer"
    async_threshold: float = 5.0
    expose_errors: bool = False
    strict_messages: bool = False
    max_depth: int = 64
    max_result_size: int = 8 * 1024 * 1024
    """Of one result, as JSON; a larger one ends its request with an error."""


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
    """Open connections of one owner: a principal, or whoever knows a `client_id`."""
    max_connections_per_address: int | None = None
    """Open connections of one IPv4 address or IPv6 /64; None: as many as there may be. One address may be a whole
    office or a proxy, which only the operator knows."""
    connection_rate: Rate | None = None
    """New connections of one address, as many at once as the count says; None: any."""
    max_handshakes: int = 8192
    """Sockets in the middle of their handshake; one more ends the oldest."""
    max_handshakes_per_address: int = 2048
    """The same for one address. Trusted proxies are not counted."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks and addresses of proxies that say whom they speak for."""
    forwarded_header: str = "X-Forwarded-For"
    """Where they say it: `X-Forwarded-For` or `Forwarded`."""
    max_running: int = 1024
    """Requests being answered or stored at one time, per connection; one more is RATE_LIMITED."""
    max_service_actions: int = 256
    """Requests for the service's own actions (`streamer.*`, but not `streamer.ping`) under way at one time, per owner;
    one more is RATE_LIMITED. A few are worked on at a time, the others wait their turn."""
    refused_limit: Rate = Rate(6000, 60.0)  # noqa: RUF009 - a rate cannot be changed
    """Messages that are no request (malformed, of no action, breaking its schema) per connection, as many at once as
    the count says; one more closes the connection with 1008."""
    max_buffered: int = 1024 * 1024
    """Bytes waiting to be sent per connection, beyond what the kernel took. Above it nothing more is read from the
    connection, progress is kept to its newest and outcomes wait in the store; at four times it, the largest message not
    counted, the connection is closed with 3008."""
    allowed_origins: tuple[str, ...] = ()
    """Empty: any. A request without an Origin header (not a browser) is always allowed."""
    handshake_timeout: float = 10.0
    ping_interval: float = 30.0
    """Silence after which a ping is sent."""
    ping_timeout: float = 20.0
    """How long its pong may take."""
    idle_timeout: float = 0.0
    """Close a connection that sent no message, and waited for none, for so long; 0: never."""
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
    """How often the queue is looked at when nothing wakes the worker (retries that fall due do)."""
    result_ttl: float = 7 * 86400.0
    max_queued: int = 100_000
    max_queued_per_owner: int | None = None
    """Of those, how many may be one owner's; None: a tenth."""
    max_queued_per_address: int | None = None
    """And how many of one IPv4 address or IPv6 /64, without authentication; None: a quarter."""
    progress_interval: float = 0.1
    processes: int = 0
    """Processes for CPU-bound handlers of queued requests; 0: one per core."""
    threads: int = 32
    """Threads for plain functions of queued requests."""
    direct_processes: int = 0
    """Processes for CPU-bound handlers of requests that are answered at once; 0: one per core. Queued requests never
    use them, and the other way round."""
    direct_threads: int = 32
    """The same for plain functions."""
    tenant_concurrency: int | None = None
    """Requests of one tenant that run at the same time; None: as many as there are."""

    @property
    def share_of_owner(self) -> int:
        """How many requests of one owner may wait."""
        return max(self.max_queued // 10, 1) if self.max_queued_per_owner is None else self.max_queued_per_owner

    @property
    def share_of_address(self) -> int:
        """How many requests of one address may wait, without authentication."""
        return max(self.max_queued // 4, 1) if self.max_queued_per_address is None else self.max_queued_per_address


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
    """How many requests in what time."""
    burst: int | None = None
    """How many at once; None: the limit's count."""
    per: str = "action"
    """What has a limit of its own: `connection`, `principal`, `tenant`, or the whole `action`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSettings:
    name: str
    handler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    estimated_duration: float | None = None
    """None: the handler says."""
    mode: str = "auto"
    """`sync`, `async` or `auto`."""
    timeout: float | None = None
    """Of one attempt; None: no limit."""
    schema: Any = None
    """The payload's JSON Schema, loaded; None: anything."""
    schema_path: Path | None = None
    """The file that `schema` stands in, which its relative `$ref`s are relative to: its own, or the configuration when
    it is written there; None when the handler brought it."""
    schema_resources: Mapping[str, Any] = field(default_factory=dict)
    """What the schema's `$ref`s need, by absolute URI, when its own base URI is `schema_path.as_uri()`."""
    result_schema: Any = None
    result_schema_path: Path | None = None
    result_schema_resources: Mapping[str, Any] = field(default_factory=dict)
    retry: RetrySettings = RetrySettings()
    rate_limit: RateLimitSettings | None = None
    """How often it may be asked for; None: as often as all else lets it."""
    concurrency: int | None = None
    priority: int = 0
    permissions: tuple[str, ...] = ()
    """What a caller must hold, all of it."""
    expires_after: float | None = None
    """How long a request may wait in the queue for an attempt; None: for as long as it takes."""
    cancel_after: float | None = None
    """How long after its last connection's end a queued request is cancelled; None: it goes on."""
    max_wait: float | None = None
    """The longest that a client's `wait` may ask for; None: `service.async_threshold`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSettings:
    allow: tuple[str, ...] | None = None
    """Distributions that may load; None: all that are installed."""
    block: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    level: str = "info"
    format: str = "auto"
    """`auto` (people-readable on a terminal, JSON otherwise), `json` or `console`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file."""

    path: Path
    """Absolute path of the file."""
    service: ServiceSettings = ServiceSettings()
    server: ServerSettings = ServerSettings()
    backends: BackendSettings = BackendSettings()
    worker: WorkerSettings = WorkerSettings()
    plugins: PluginSettings = PluginSettings()
    logs: LogSettings = LogSettings()
    auth: ComponentUse = ComponentUse(name="none")
    middleware: tuple[ComponentUse, ...] = ()
    actions: Mapping[str, ActionSettings] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    """Values that must never be shown: filled from `${…}` in places marked secret. Those of one to three characters
    are left out, for they would be found everywhere."""
    secret_places: frozenset[tuple[str | int, ...]] = frozenset()
    """Where secrets stand, literal ones too, as keys and positions from the root of the file."""
    warnings: tuple[Problem, ...] = ()
    """What is not wrong in the file and worth knowing."""

    @property
    def base_dir(self) -> Path:
        """What relative paths in the file are relative to."""
        return self.path.parent
