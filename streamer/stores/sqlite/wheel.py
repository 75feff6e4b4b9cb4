"""Fair turns for more lines than are kept in memory, read from the index as needed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from streamer.queue.fairness import Capacity, ExpiredLease, FairKey
from streamer.stores.sqlite.due_times import Kind

QUEUED: Final = "AND due_at IS NOT NULL AND status != 'PROCESSING'"
"""The condition of the queue's indexes; a query needs it to use them."""
CURSORS: Final = 20_000
"""Number of tenants whose last served owner is remembered. With more, some tenants start again with their first
owner.
"""

_IN_LINE: Final = f"FROM requests INDEXED BY requests_queued WHERE action = ? AND priority = ? AND waiting = 1 {QUEUED}"
_NEXT_TENANT: Final = f"SELECT tenant {_IN_LINE} AND tenant > ? ORDER BY tenant LIMIT 1"
_FIRST_TENANT: Final = f"SELECT tenant {_IN_LINE} ORDER BY tenant LIMIT 1"
_NEXT_OWNER: Final = f"SELECT owner, number {_IN_LINE} AND tenant = ? AND owner > ? ORDER BY owner, number LIMIT 1"
_FIRST_OWNER: Final = f"SELECT owner, number {_IN_LINE} AND tenant = ? ORDER BY owner, number LIMIT 1"

Turn = tuple[FairKey, int]
"""The owner whose turn it is, and the number of its oldest record."""


class Wheel:
    """Actions take turns, within each its tenants, and within those their owners, as in `fairness.FairQueue`, but
    tenants and owners in the order of their names instead of their arrival. Each has its turn once in a round. The cost
    of a turn does not depend on how much waits.

    Args:
        execute: runs a statement on the file.

    Attributes:
        kinds: every action and priority that may have waiting records.
    """

    def __init__(self, execute: Callable[..., sqlite3.Cursor]) -> None:
        self.kinds: set[Kind] = set()
        self._execute = execute
        self._turns = 0
        self._served: dict[Kind, int] = {}
        """The number of each kind's last turn."""
        self._tenants: dict[Kind, str] = {}
        """The owner of the last turn."""
        self._owners: dict[tuple[Kind, str], str] = {}

    def reset(self, kinds: Iterable[Kind]) -> None:
        """Sets the kinds. The positions within rounds are kept."""
        self.kinds = set(kinds)

    def fits(self, capacity: Capacity) -> bool:
        """Whether any waiting record could be taken."""
        return any(
            capacity.for_action(kind[0]) and self._next_tenant(kind, capacity) is not None for kind in self.kinds
        )

    def take(self, limit: int, capacity: Capacity, leases: Sequence[ExpiredLease]) -> Iterator[ExpiredLease | Turn]:
        """Up to `limit` turns, as from `fairness.FairQueue.take`.

        The caller removes each record from its line before it takes the next turn.
        """
        priorities = {priority for _, priority in self.kinds} | {one.priority for one in leases}
        for priority in sorted(priorities, reverse=True):
            for one in sorted((one for one in leases if one.priority == priority), key=lambda one: (one.last, *one)):
                if limit and capacity.fits(one):
                    capacity.take_lost(last=one.last)
                    capacity.take(one.action, one.tenant)
                    limit -= 1
                    yield one
            for turn in self._of_priority(priority, limit, capacity):
                limit -= 1
                yield turn

    def _of_priority(self, priority: int, limit: int, capacity: Capacity) -> Iterator[Turn]:
        kinds = [kind for kind in self.kinds if kind[1] == priority]
        kinds.sort(key=lambda kind: (self._served.get(kind, 0), kind))
        while kinds:
            for kind in tuple(kinds):
                if not limit:
                    return
                tenant = self._next_tenant(kind, capacity) if capacity.for_action(kind[0]) else None
                if tenant is None:
                    kinds.remove(kind)
                    continue
                turn = self._serve(kind, tenant)
                capacity.take(kind[0], tenant)
                limit -= 1
                yield turn

    def _next_tenant(self, kind: Kind, capacity: Capacity) -> str | None:
        """The first tenant with capacity after the one that was served last."""
        last = self._tenants.get(kind)
        if last is not None:
            tenant = self._tenant_after(kind, last, capacity)
            if tenant is not None:
                return tenant
        found = self._execute(_FIRST_TENANT, kind).fetchone()
        if found is None or capacity.for_tenant(found[0]):
            return None if found is None else str(found[0])
        return self._tenant_after(kind, found[0], capacity)

    def _tenant_after(self, kind: Kind, tenant: str, capacity: Capacity) -> str | None:
        while found := self._execute(_NEXT_TENANT, (*kind, tenant)).fetchone():
            tenant = found[0]
            if capacity.for_tenant(tenant):
                return tenant
        return None

    def _serve(self, kind: Kind, tenant: str) -> Turn:
        line = (kind, tenant)
        last = self._owners.pop(line, None)
        found = None if last is None else self._execute(_NEXT_OWNER, (*line[0], tenant, last)).fetchone()
        owner, number = found or self._execute(_FIRST_OWNER, (*kind, tenant)).fetchone()
        if len(self._owners) >= CURSORS:
            # The least recently served one.
            del self._owners[next(iter(self._owners))]
        self._owners[line] = owner
        self._tenants[kind] = tenant
        self._turns += 1
        self._served[kind] = self._turns
        return FairKey(*kind, tenant, owner), number
