"""Reads the configuration file into frozen settings: document, environment, schema, checks. This package does not know
what is built from the settings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamer.config.dump import dump
    from streamer.config.editor import editor_schema
    from streamer.config.loader import load
    from streamer.config.problems import CODES, Problem
    from streamer.config.settings import Settings

_PLACES = {
    "CODES": "problems",
    "Problem": "problems",
    "Settings": "settings",
    "dump": "dump",
    "editor_schema": "editor",
    "load": "loader",
}

# Each name is imported when it is first used: reading a file needs jsonschema, which takes longer to import than
# everything else.
__all__ = ["CODES", "Problem", "Settings", "dump", "editor_schema", "load"]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'streamer.config' has no attribute {name!r}")
    value = getattr(import_module(f"streamer.config.{place}"), name)
    globals()[name] = value
    return value
