"""How many sockets fit into the limit of open descriptors, with some reserved for everything else."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from streamer.config.settings import ServerSettings, Settings
from streamer.transports.linger import SHARE

OURS: Final = 64
"""For files, the store, child processes, and the loop."""
_EACH: Final = 4
"""For a running request: the pipes of a program, a connection to an endpoint."""
_HANDSHAKES: Final = 8
"""Maximum fraction of the rest for sockets in their handshake."""


def fit(settings: Settings, limit: int) -> ServerSettings:
    """The `server` section, limited to as many connections and handshakes as there are descriptors.

    Args:
        settings: the file.
        limit: of open descriptors.
    """
    server = settings.server
    kept = limit // SHARE + min(OURS, limit // _HANDSHAKES)
    kept += min(_EACH * settings.worker.concurrency, max(0, limit - kept) // 2)
    budget = max(2, limit - kept)
    if server.max_connections + server.max_handshakes <= budget:
        return server
    handshakes = min(server.max_handshakes, max(1, budget // _HANDSHAKES))
    return dataclasses.replace(
        server,
        max_connections=min(server.max_connections, budget - handshakes),
        max_handshakes=handshakes,
        max_handshakes_per_address=min(server.max_handshakes_per_address, handshakes),
    )


def warn(wanted: ServerSettings, fitted: ServerSettings, limit: int, logger: Any) -> None:
    """Logs when the file allows more connections than there are descriptors."""
    if fitted.max_connections < wanted.max_connections:
        logger.warning(
            "server.max_connections does not fit into the limit of open files, so fewer are accepted; "
            "raise the limit (ulimit -n, LimitNOFILE=) or lower the setting",
            limit=limit, max_connections=wanted.max_connections, accepted=fitted.max_connections,
        )  # fmt: skip
