"""The state of an operator's command next to a running service: it keeps nothing in memory, and records its changes for
the service.
"""

from __future__ import annotations

from typing import Any, Final

from streamer.core.records import RequestRecord
from streamer.queue.fairness import FairKey
from streamer.stores.sqlite.state import State

_NOTE: Final = "INSERT INTO changes (change, id, action, priority, tenant, owner) VALUES (?, ?, ?, ?, ?, ?)"

_NOWHERE: Final = FairKey("", 0, "", "")


class OperatorState(State):
    """Records each change, in the same transaction, for the service whose counts it affects.

    The service reads and deletes these rows when it next writes. A start counts everything and deletes them. The
    command claims nothing, and has no limits.
    """

    def begin(self, *, reading: bool = False) -> None:
        """A transaction has started. Whether many records wait is unknown here, and an unnecessary `counted` does no
        harm.
        """
        del reading
        self.counted = True
        self._changes_before = self.database.total_changes
        self._noted = False

    def finish(self) -> None:
        """Records every write that has no record of its own."""
        if self.database.total_changes != self._changes_before and not self._noted:
            self._note("other")

    def undo(self) -> None:
        """The recorded changes are rolled back with the transaction."""

    def at(self, now: float) -> None:
        """The service handles clocks that are set back."""

    def enter(self, place: FairKey) -> None:
        """Adds a queued record that can start as soon as a worker is free."""
        self._note("entered", place=place)

    def leave(self, place: FairKey) -> None:
        """Removes such a record from the queue."""
        self._note("left", place=place)

    def enter_waiting(self, place: FairKey) -> None:
        """Adds a queued record that waits for a time."""
        self._note("entered_waiting", place=place)

    def leave_waiting(self, place: FairKey) -> None:
        """Removes such a record from the queue."""
        self._note("left_waiting", place=place)

    def replace(self, record: RequestRecord) -> list[Any]:
        """Writes the whole record over the stored one. Returns its row."""
        self._note("wrote", record.id, FairKey("", 0, "", record.owner))
        return super().replace(record)

    def _note(self, change: str, request_id: str = "", place: FairKey = _NOWHERE) -> None:
        self._noted = True
        self.execute(_NOTE, (change, request_id, *place))
