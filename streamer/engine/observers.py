"""Observers of a service. Without an observer, nothing is observed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from streamer.contracts.connections import Peer
from streamer.contracts.stores import RequestQueue
from streamer.core.errors import Error
from streamer.engine.background import BackgroundTasks
from streamer.engine.boundary import ErrorBoundary
from streamer.engine.direct_requests import DirectRequests


class RouterObserver(Protocol):
    """The router's access to the observed parts."""

    def direct_requests(
        self, tasks: BackgroundTasks, boundary: ErrorBoundary, logger: Any, *, max_result_size: int
    ) -> DirectRequests:
        """Runs direct requests, observed."""
        ...

    def refuse(self, peer: Peer, action: str, error: Error, request_id: str | None, /) -> None:
        """Sends an error, as `send_refusal`, and counts it."""
        ...


class Observer(RouterObserver, Protocol):
    """Wraps parts of a service while it is assembled. It must not change their behaviour."""

    def declare(self, actions: Iterable[str], /) -> None:
        """All actions of the service, including its own. Called before the first request."""
        ...

    def queue(self, store: RequestQueue, /) -> RequestQueue:
        """The store, observed."""
        ...
