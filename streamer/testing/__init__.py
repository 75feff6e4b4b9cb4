"""Tools for testing handlers, plugins and stores.

Each name is imported when it is first used: the suites need pytest and hypothesis, which a service does not.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_PLACES = {
    "BusConformance": "conformance.buses",
    "ConnectionsConformance": "conformance.connections",
    "FailingMock": "mocks",
    "ManualClock": "clock",
    "MockConnectionManager": "mocks",
    "MockRequestStore": "mocks",
    "ProgressReporterMock": "mocks",
    "RecordingLogger": "logs",
    "RecordingMock": "mocks",
    "RecordingReporter": "mocks",
    "SendOnlyMock": "mocks",
    "StorageConformance": "conformance.storages",
    "StoreConformance": "conformance",
    "SubscriptionsConformance": "conformance.subscriptions",
    "WakeUpsConformance": "conformance.wake_ups",
    "store_machine": "property",
    "websocket_event": "events",
}

if "pytest" in sys.modules:
    # So that a failed assertion shows its values in a plugin's own tests too.
    sys.modules["pytest"].register_assert_rewrite(f"{__name__}.conformance", f"{__name__}.property")

__all__ = sorted(_PLACES)  # noqa: PLE0605 - strings, found by __getattr__


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'streamer.testing' has no attribute {name!r}")
    return getattr(import_module(f"streamer.testing.{place}"), name)
