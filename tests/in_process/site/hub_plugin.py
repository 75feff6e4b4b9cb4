"""The plugin that brings the components of `in_process`."""

from __future__ import annotations

from in_process.components import components

from streamer import Component, hookimpl


@hookimpl
def streamer_backends() -> list[Component]:
    """A queue and connections that several processes share."""
    return components()
