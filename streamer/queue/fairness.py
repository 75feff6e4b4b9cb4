"""Whose turn it is: who waits, by priority, action, tenant and owner, and how much more of whom may run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from streamer.contracts.storage import Line as FairKey
from streamer.core.records import ADDRESS_SHARE

__all__ = ["Capacity", "ExpiredLease", "FairKey", "FairQueue"]


class ExpiredLease(NamedTuple):
    """A record whose worker's lease ran out."""

    due_at: float
    record: Any
    """What the store knows it by."""
    action: str
    priority: int
    tenant: str
    last: bool = False
    """Its next attempt is its last; it goes behind those that have more."""


class Capacity:
    """How much more of each action and of each tenant may run, counted down as a claim takes records.

    Args:
        free_slots: for each action with a limit; None for no limits.
        tenant_limit: for each tenant; None for no limit. What has no tenant is not limited.
        tenants: how many run now, of each tenant that has any.
        lost_limit: for records whose worker's lease ran out; None for no limit.
        lost_running: how many of those run now.
    """

    def __init__(
        self,
        free_slots: Mapping[str, int] | None,
        tenant_limit: int | None,
        tenants: Mapping[str, int] | None,
        lost_limit: int | None = None,
        lost_running: int = 0,
    ) -> None:
        self._free_slots = dict(free_slots or {})
        self._tenant_limit = tenant_limit
        self._tenants = dict(tenants or {})
        self._lost_limit = lost_limit
        self._lost_running = lost_running

    def for_action(self, action: str) -> bool:
        """Whether one more of this action may run."""
        return self._free_slots.get(action, 1) > 0

    def for_tenant(self, tenant: str) -> bool:
        """Whether one more of this tenant may run."""
        if self._tenant_limit is None or not tenant or tenant.startswith(ADDRESS_SHARE):
            return True
        return self._tenants.get(tenant, 0) < self._tenant_limit

    def for_lost(self, *, last: bool) -> bool:
        """Whether one more record whose lease ran out may run; one in its last attempt runs without any other."""
        if self._lost_limit is None:
            return True
        return self._lost_limit > 0 and not (last and self._lost_running)

    def fits(self, lost: ExpiredLease) -> bool:
        """Whether this one may run."""
        return self.for_lost(last=lost.last) and self.for_action(lost.action) and self.for_tenant(lost.tenant)

    def take_lost(self, *, last: bool) -> None:
        """One more of those runs."""
        self._lost_running += 1
        if self._lost_limit is not None:
            self._lost_limit = 0 if last else self._lost_limit - 1

    def take(self, action: str, tenant: str) -> None:
        """One more of them runs."""
        if action in self._free_slots:
            self._free_slots[action] -= 1
        if tenant:
            self._tenants[tenant] = self._tenants.get(tenant, 0) + 1


Owners = OrderedDict[str, int]
Tenants = OrderedDict[str, Owners]
Actions = OrderedDict[str, Tenants]


class FairQueue:
    """Counts of the records that wait, in the order of turns: whoever was served goes behind all others.

    Actions of one priority take turns, within them tenants, within those owners. A newcomer stands behind those who
    wait already, and so before anybody's second turn. All costs are of what is taken, not of what waits; but a claim
    looks once at the name of each tenant.
    """

    def __init__(self) -> None:
        self._levels: dict[int, Actions] = {}

    def __contains__(self, place: FairKey) -> bool:
        try:
            return place.owner in self._levels[place.priority][place.action][place.tenant]
        except KeyError:
            return False

    def add(self, place: FairKey, count: int = 1) -> None:
        """So many more records wait there."""
        actions = self._levels.get(place.priority)
        if actions is None:
            actions = self._levels[place.priority] = OrderedDict()
        tenants = actions.get(place.action)
        if tenants is None:
            tenants = actions[place.action] = OrderedDict()
        owners = tenants.get(place.tenant)
        if owners is None:
            owners = tenants[place.tenant] = OrderedDict()
        owners[place.owner] = owners.get(place.owner, 0) + count

    def remove(self, place: FairKey) -> None:
        """One record less waits there, and nobody's turn is over."""
        self._less(place, served=False)

    def update(self, counts: Mapping[FairKey, int]) -> None:
        """Makes the counts these. FairQueue that are known already keep their turn, new ones go behind them."""
        known = [
            FairKey(action, priority, tenant, owner)
            for priority, actions in self._levels.items()
            for action, tenants in actions.items()
            for tenant, owners in tenants.items()
            for owner in owners
        ]
        self._levels.clear()
        for place in dict.fromkeys((*known, *counts)):
            if counts.get(place):
                self.add(place, counts[place])

    def take(self, limit: int, capacity: Capacity, leases: Sequence[ExpiredLease] = ()) -> list[FairKey | ExpiredLease]:
        """Up to `limit` turns, the most urgent first; they are taken out of the lines and of the capacity.

        An expired lease goes before what waits with the same priority: its request has had its turn already.
        """
        taken: list[FairKey | ExpiredLease] = []
        for priority in sorted({*self._levels, *(one.priority for one in leases)}, reverse=True):
            for one in sorted((one for one in leases if one.priority == priority), key=lambda one: (one.last, *one)):
                if len(taken) < limit and capacity.fits(one):
                    capacity.take_lost(last=one.last)
                    capacity.take(one.action, one.tenant)
                    taken.append(one)
            if len(taken) < limit and priority in self._levels:
                self._take(priority, limit, capacity, taken)
        return taken

    def fits(self, capacity: Capacity) -> bool:
        """Whether anything that waits could be taken."""
        return any(
            capacity.for_action(action) and any(map(capacity.for_tenant, tenants))
            for actions in self._levels.values()
            for action, tenants in actions.items()
        )

    def _take(self, priority: int, limit: int, capacity: Capacity, taken: list[FairKey | ExpiredLease]) -> None:
        actions = self._levels[priority]
        turns = {action: _turns(tenants, capacity) for action, tenants in actions.items()}
        while turns:
            for action in list(turns):
                tenant = next(turns[action], None) if capacity.for_action(action) else None
                if tenant is None:
                    del turns[action]
                    continue
                place = FairKey(action, priority, tenant, next(iter(actions[action][tenant])))
                self._less(place, served=True)
                capacity.take(action, tenant)
                taken.append(place)
                if len(taken) == limit:
                    return

    def _less(self, place: FairKey, *, served: bool) -> None:
        actions = self._levels[place.priority]
        tenants = actions[place.action]
        owners = tenants[place.tenant]
        owners[place.owner] -= 1
        if not owners[place.owner]:
            del owners[place.owner]
        elif served:
            owners.move_to_end(place.owner)
        if not owners:
            del tenants[place.tenant]
        elif served:
            tenants.move_to_end(place.tenant)
        if not tenants:
            del actions[place.action]
        elif served:
            actions.move_to_end(place.action)
        if not actions:
            del self._levels[place.priority]


def _turns(tenants: Tenants, capacity: Capacity) -> Iterator[str]:
    """The tenants one after the other, round by round; those without room are passed over and keep their place."""
    names = list(tenants)
    while names := [name for name in names if name in tenants and capacity.for_tenant(name)]:
        for name in names:
            if capacity.for_tenant(name):
                yield name
