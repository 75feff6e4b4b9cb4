"""For whoever tests handlers, plugins and stores.

Each name is imported when it is first used: the suites need pytest and hypothesis, which a service does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PLACES = {
    "ManualClock": "clock",
    "StoreConformance": "conformance",
    "store_machine": "property",
}

__all__ = ["ManualClock", "StoreConformance", "store_machine"]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'streamer.testing' has no attribute {name!r}")
    return getattr(import_module(f"streamer.testing.{place}"), name)
