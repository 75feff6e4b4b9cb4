"""What an operator's command keeps in memory next to a running service: nothing. It notes what it changed instead."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.records import RequestRecord
from streamer.queue.fairness import FairKey
from streamer.stores.sqlite.state import State

_NOTE: Final = "INSERT INTO changes (change, id, action, priority, tenant, owner) VALUES (?, ?, ?, ?, ?, ?)"

_NOWHERE: Final = FairKey("", 0, "", "")


class OperatorState(State):
    """Writes down each change, in the same transaction, for the service whose counts it concerns.

    The service reads these rows, and deletes them, when it next writes. A start counts everything and deletes them.
    It claims nothing, and knows no full queue.
    """

    def begin(self, *, reading: bool = False) -> None:
        """A transaction has begun. Whether many wait is not known here, and being counted does no harm."""
        del reading
        self.counted = True
        self._changes_before = self.database.total_changes
        self._noted = False

    def finish(self) -> None:
        """Whatever was written without a note of its own is noted as that."""
        if self.database.total_changes != self._changes_before and not self._noted:
            self._note("other")

    def undo(self) -> None:
        """The notes are gone with the transaction."""

    def at(self, now: float) -> None:
        """Clocks that are put back are the service's business."""

    def enter(self, place: FairKey) -> None:
        """One more record is in the queue, and waits for nothing but a worker."""
        self._note("entered", place=place)

    def leave(self, place: FairKey) -> None:
        """One such record has left the queue."""
        self._note("left", place=place)

    def enter_waiting(self, place: FairKey) -> None:
        """One more record is in the queue, and waits for a time."""
        self._note("entered_waiting", place=place)

    def leave_waiting(self, place: FairKey) -> None:
        """One such record has left the queue."""
        self._note("left_waiting", place=place)

    def replace(self, record: RequestRecord) -> list[Any]:
        """Writes the whole record over the one that is stored. Returns its row."""
        self._note("wrote", record.id, FairKey("", 0, "", record.owner))
        return super().replace(record)

    def _note(self, change: str, request_id: str = "", place: FairKey = _NOWHERE) -> None:
        self._noted = True
        self.execute(_NOTE, (change, request_id, *place))
