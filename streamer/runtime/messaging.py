"""Builds the parts that deliver messages of queued requests to connections, by the declared capabilities of the
connections' component.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamer.contracts.components import Component
from streamer.contracts.connections import SharedConnections
from streamer.contracts.stores import RequestQueue, WokenQueue
from streamer.core.clock import Clock
from streamer.engine.connection_ends import ConnectionEnds, OnOrphaned, left_to_sweep
from streamer.engine.delivery import Delivery
from streamer.engine.delivery_tracker import DeliveryTracker
from streamer.engine.forwarded import ForwardedMessages
from streamer.engine.orphan_watch import OrphanWatch
from streamer.engine.orphans import OrphanCanceller
from streamer.engine.routes import Route
from streamer.engine.sent_outcomes import SentOutcomes
from streamer.engine.shared_orphans import OrphanTimes, SharedOrphanWatch
from streamer.engine.shared_subscribers import SharedSubscribers
from streamer.engine.subscriptions import LocalSubscriptions
from streamer.engine.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """The two backends of a file, and their declarations."""

    store: Any
    connections: Any
    store_component: Component
    connections_component: Component

    @property
    def shared(self) -> SharedConnections | None:
        """The connections, if several processes send to them."""
        # The component's declaration decides, since the type of a plugin's object is unknown.
        return self.connections if self.connections_component.several_processes else None

    @property
    def woken(self) -> WokenQueue | None:
        """The store, if its requests can be claimed by their keys."""
        return self.store if self.store_component.claims_by_key else None


class Messaging:
    """Delivery, and the search for orphaned requests.

    Args:
        backends: of the file.
        on_orphaned: for shared connections, in a process that holds none: called when a request may be orphaned.
        clock: the service's.
        logger: bound with fields of the whole service.
    """

    def __init__(self, backends: Backends, *, on_orphaned: OnOrphaned | None, clock: Clock, logger: Any) -> None:
        store: RequestQueue = backends.store
        self._backends = backends
        self._clock = clock
        self._logger = logger
        self._times = OrphanTimes(clock)
        self._local = LocalSubscriptions(clock)
        self.tracker = DeliveryTracker(store, clock=clock, logger=logger)
        self.forwarded: ForwardedMessages | None = None
        """For connections of this process that others send to."""
        shared = backends.shared
        if shared is None:
            self.delivery = Delivery(
                backends.connections, logger, subscribers=self._local, queue=store, tracker=self.tracker
            )
            return
        holds_sockets = backends.connections_component.holds_sockets
        ends = ConnectionEnds(
            shared.subscriptions, on_orphaned or (self._times.note if holds_sockets else left_to_sweep), logger
        )
        subscribers = SharedSubscribers(shared.subscriptions, ends, logger, holds_sockets=holds_sockets)
        sent = None
        if shared.connected is not None:
            mark_sent = None if backends.woken is None else backends.woken.mark_sent
            sent = SentOutcomes(shared.connected, mark_sent, clock=clock, logger=logger)
        self.delivery = Delivery(shared, logger, subscribers=subscribers, queue=store, tracker=self.tracker, sent=sent)
        if holds_sockets:
            self.forwarded = ForwardedMessages(self.delivery, subscribers)

    def orphan_watch(self, worker: Worker, routes: Mapping[str, Route]) -> OrphanWatch | SharedOrphanWatch | None:
        """Cancels orphaned requests, if this process holds connections and an action requires it."""
        if not self._backends.connections_component.holds_sockets:
            return None
        if all(route.cancel_after is None for route in routes.values()):
            return None
        shared = self._backends.shared
        if shared is not None:
            canceller = OrphanCanceller(shared.subscriptions, worker, logger=self._logger)
            return SharedOrphanWatch(self._times, canceller, logger=self._logger)
        canceller = OrphanCanceller(self._local, worker, logger=self._logger)
        return OrphanWatch(self._backends.store, routes, self._local, canceller, clock=self._clock, logger=self._logger)
