"""The rules for what a claim may take, and in what order, independent of how a store implements them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from streamer.contracts.stores import Key
from streamer.core.records import RequestRecord, Status, last_attempt


class Limits:
    """The limits of one claim, counted down by the records that it took."""

    def __init__(
        self,
        free_slots: Mapping[str, int] | None = None,
        tenant_limit: int | None = None,
        tenants: Mapping[str, int] | None = None,
        lost_limit: int | None = None,
        lost_running: int = 0,
    ) -> None:
        self.arguments: dict[str, Any] = {
            "free_slots": free_slots,
            "tenant_limit": tenant_limit,
            "tenants": tenants,
            "lost_limit": lost_limit,
            "lost_running": lost_running,
        }
        self._lost_limit = lost_limit
        self._lost_running = lost_running
        self._headroom = dict(free_slots or {})
        self._tenant_limit = tenant_limit
        self._tenants = Counter(tenants or {})

    def fits_action(self, record: RequestRecord) -> bool:
        """Whether the record's action has free_slots."""
        return self._headroom.get(record.action, 1) > 0

    def fits(self, record: RequestRecord) -> bool:
        """Whether its action has free slots, its tenant capacity, and whether a record with an expired lease may run
        with the others.
        """
        lost = record.status is Status.PROCESSING and self._lost_limit is not None
        if lost and ((self._lost_limit or 0) <= 0 or (last_attempt(record) and self._lost_running)):
            return False
        limited = bool(record.tenant) and self._tenant_limit is not None
        return self.fits_action(record) and not (limited and self._tenants[record.tenant] >= (self._tenant_limit or 0))

    def take(self, record: RequestRecord) -> None:
        """The record runs now."""
        if record.status is Status.PROCESSING:
            self._lost_running += 1
            if self._lost_limit is not None:
                self._lost_limit = 0 if last_attempt(record) else self._lost_limit - 1
        self._tenants[record.tenant] += 1
        if record.action in self._headroom:
            self._headroom[record.action] -= 1


def check_turns(
    taken: Sequence[RequestRecord],
    waiting: list[RequestRecord],
    limit: int,
    limits: Limits,
    numbers: Mapping[Key, int],
) -> None:
    """Checks each choice of a claim against the alternatives at that moment.

    Args:
        taken: the claimed records, as they were before.
        waiting: all due records; claimed ones are removed from it.
        limit: of the claim.
        limits: of its actions and tenants; counted down.
        numbers: the order in which the records were stored.
    """
    assert len(taken) <= limit
    owners: Counter[tuple[str, int, str]] = Counter()
    tenants: Counter[tuple[str, int, str]] = Counter()
    for one in taken:
        possible = [other for other in waiting if limits.fits(other)]
        assert one in possible
        assert one.priority == max(other.priority for other in possible)
        rivals = [other for other in possible if other.priority == one.priority and other.action == one.action]
        waiting.remove(one)
        limits.take(one)
        if one.status is Status.PROCESSING:
            continue
        assert not any(other.status is Status.PROCESSING for other in rivals), (
            "requests with an expired lease come first"
        )
        assert numbers[one.key] == min(numbers[other.key] for other in rivals if other.owner == one.owner)
        owners[one.action, one.priority, one.owner] += 1
        tenants[one.action, one.priority, one.tenant] += 1
        for other in rivals:
            if other is one or not limits.fits(other):
                continue
            if other.tenant == one.tenant:
                mine, theirs = (owners[one.action, one.priority, whose.owner] for whose in (one, other))
            else:
                mine, theirs = (tenants[one.action, one.priority, whose.tenant] for whose in (one, other))
            assert mine <= theirs + 1, "they take turns"
    assert len(taken) == limit or not any(map(limits.fits, waiting))
