"""The hub's queue and connections as components: a file names them as those of any plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from in_process.hub import Hub
from streamer.contracts.components import BuildContext, Component, Kind

HUBS: dict[str, Hub] = {}
"""By the name in the file."""
OPTIONS = {
    "type": "object",
    "properties": {"hub": {"type": "string"}},
    "required": ["hub"],
    "additionalProperties": False,
}


def _queue(options: Mapping[str, Any], _context: BuildContext) -> Any:
    return HUBS[options["hub"]].queue()


def _connections(options: Mapping[str, Any], _context: BuildContext) -> Any:
    return HUBS[options["hub"]].connections()


def components() -> list[Component]:
    """A store and connections, each for several processes of one service."""
    return [
        Component(kind=Kind.STORE, name="queue", factory=_queue, options=OPTIONS, several_processes=True, watched=True),
        Component(
            kind=Kind.CONNECTIONS,
            name="bus",
            factory=_connections,
            options=OPTIONS,
            several_processes=True,
            holds_sockets=True,
        ),
    ]
