"""What may observe a service. Nothing is observed unless the assembly is given an observer."""

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
    """What a router asks for the parts that are observed."""

    def direct_requests(
        self, tasks: BackgroundTasks, boundary: ErrorBoundary, logger: Any, *, max_result_size: int
    ) -> DirectRequests:
        """What runs direct requests, observed."""
        ...

    def refuse(self, peer: Peer, action: str, error: Error, request_id: str | None, /) -> None:
        """Sends an error, as `send_refusal`, and counts it."""
        ...


class Observer(RouterObserver, Protocol):
    """Wraps parts of a service while it is assembled. It must not change what they do."""

    def declare(self, actions: Iterable[str], /) -> None:
        """These are all actions of the service, its own included. Called before the first request."""
        ...

    def queue(self, store: RequestQueue, /) -> RequestQueue:
        """The store, observed."""
        ...
