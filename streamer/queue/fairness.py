"""Fair turns: which waiting record is next, by priority, action, tenant and owner, and how many more may run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from streamer.contracts.storage import Line as FairKey
from streamer.core.records import ADDRESS_SHARE

__all__ = ["Capacity", "ExpiredLease", "FairKey", "FairQueue"]


class ExpiredLease(NamedTuple):
    """A record whose lease has expired."""

    due_at: float
    record: Any
    """The key by which the store refers to it."""
    action: str
    priority: int
    tenant: str
    last: bool = False
    """Its next attempt is its last; it comes after those that have more."""


class Capacity:
    """How many more requests of each action and tenant may run, counted down as a claim takes records.

    Args:
        free_slots: for each action with a limit; None for no limits.
        tenant_limit: for each tenant; None for no limit. Records without a tenant are not limited.
        tenants: how many run now, for each tenant that has any.
        lost_limit: for records with an expired lease; None for no limit.
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
        """Whether one more request of this action may run."""
        return self._free_slots.get(action, 1) > 0

    def for_tenant(self, tenant: str) -> bool:
        """Whether one more request of this tenant may run."""
        if self._tenant_limit is None or not tenant or tenant.startswith(ADDRESS_SHARE):
            return True
        return self._tenants.get(tenant, 0) < self._tenant_limit

    def for_lost(self, *, last: bool) -> bool:
        """Whether one more record with an expired lease may run; one in its last attempt runs alone."""
        if self._lost_limit is None:
            return True
        return self._lost_limit > 0 and not (last and self._lost_running)

    def fits(self, lost: ExpiredLease) -> bool:
        """Whether this record may run."""
        return self.for_lost(last=lost.last) and self.for_action(lost.action) and self.for_tenant(lost.tenant)

    def take_lost(self, *, last: bool) -> None:
        """Counts one more running request of the action and the tenant."""
        self._lost_running += 1
        if self._lost_limit is not None:
            self._lost_limit = 0 if last else self._lost_limit - 1

    def take(self, action: str, tenant: str) -> None:
        """Counts one more running record with an expired lease."""
        if action in self._free_slots:
            self._free_slots[action] -= 1
        if tenant:
            self._tenants[tenant] = self._tenants.get(tenant, 0) + 1


Owners = OrderedDict[str, int]
Tenants = OrderedDict[str, Owners]
Actions = OrderedDict[str, Tenants]


class FairQueue:
    """Counts of waiting records, in the order of turns: an owner that was served moves to the end.

    Actions of one priority take turns, within them tenants, and within those owners. A new owner is placed after those
    who already wait, and so before anybody's second turn. All costs depend on what is taken, not on what waits, except
    that a claim looks at the name of each tenant once.
    """

    def __init__(self) -> None:
        self._levels: dict[int, Actions] = {}

    def __contains__(self, place: FairKey) -> bool:
        try:
            return place.owner in self._levels[place.priority][place.action][place.tenant]
        except KeyError:
            return False

    def add(self, place: FairKey, count: int = 1) -> None:
        """Adds waiting records."""
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
        """Removes a waiting record without using up a turn."""
        self._less(place, served=False)

    def update(self, counts: Mapping[FairKey, int]) -> None:
        """Sets the counts to these. Known lines keep their turn, new ones come after them."""
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
        """Up to `limit` turns, the most urgent first; they are removed from the lines and from the capacity.

        An expired lease comes before waiting records of the same priority, since its request already had its turn.
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
        """Whether any waiting record could be taken."""
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
    """The tenants one after the other, round by round; those without capacity are skipped and keep their place."""
    names = list(tenants)
    while names := [name for name in names if name in tenants and capacity.for_tenant(name)]:
        for name in names:
            if capacity.for_tenant(name):
                yield name
